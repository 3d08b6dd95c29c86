"""The program `deploykit`: quiet about Ctrl-C from its first line on, also while the command line is still being read in."""

import signal
import sys
from types import FrameType

_pressed: list[int] = []


def _press(number: int, _frame: FrameType | None) -> None:
    """Note Ctrl-C: Python makes another error of it where it falls into the making of a class."""
    _pressed.append(number)
    raise KeyboardInterrupt


def main() -> None:
    """Run the command line; 130 if Ctrl-C comes before there is one that could say more."""
    usual = signal.getsignal(signal.SIGINT)
    try:
        if usual is signal.default_int_handler:  # else whoever started this wants it ignored
            signal.signal(signal.SIGINT, _press)
        from deploykit.cli.main import main as run
    except BaseException as error:
        if not (_pressed or isinstance(error, KeyboardInterrupt)):
            raise
        from deploykit.cli.console import failure
        from deploykit.errors import Interrupted

        failure(Interrupted("interrupted"), as_json="--json" in sys.argv)
        sys.exit(Interrupted.exit_code)
    signal.signal(signal.SIGINT, usual)
    run()
