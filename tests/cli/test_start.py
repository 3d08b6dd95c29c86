"""The program's first moments: Ctrl-C while Python still imports is one line and 130, as at any other moment."""

import json
import subprocess
import sys

import pytest

INTERRUPTED = """
import os, signal, sys
WRAPPED = "wrapped" in sys.argv
signal.signal(signal.SIGINT, signal.default_int_handler)
class Press:
    def find_spec(self, name, path=None, target=None):
        if name == "typer":
            try:
                os.kill(os.getpid(), signal.SIGINT)
            except KeyboardInterrupt:  # as the making of a class does
                if WRAPPED:
                    raise RuntimeError("Error calling __set_name__")
                raise
sys.meta_path.insert(0, Press())
sys.argv = ["deploykit", "models", *sys.argv[1:]]
from deploykit.cli.start import main
main()
"""


@pytest.mark.parametrize("more", [(), ("--json",), ("wrapped",)])
def test_ctrl_c_while_python_imports(more):
    ran = subprocess.run([sys.executable, "-c", INTERRUPTED, *more], capture_output=True, text=True, check=False)
    assert ran.returncode == 130
    if "--json" in more:
        assert json.loads(ran.stdout)["error"]["kind"] == "interrupted"
        assert ran.stderr == ""
    else:
        assert (ran.stdout, ran.stderr) == ("", "error: interrupted\n")


def test_python_runs_the_package_as_the_program(tmp_path):
    ran = subprocess.run(
        [sys.executable, "-m", "deploykit", "--version"], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert ran.returncode == 0
    assert ran.stdout.startswith("deploykit ")
