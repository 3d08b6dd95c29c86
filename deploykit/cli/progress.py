"""Live progress on stderr: one moving line on a terminal, plain lines in a log."""

import sys
import time
from typing import TYPE_CHECKING, Self

from deploykit.cli.console import colours, say
from deploykit.cli.load_view import LoadView
from deploykit.errors import Interrupted
from deploykit.workflows.ports import Progress as LoadProgress
from deploykit.workflows.ports import TaskEvent

if TYPE_CHECKING:
    from rich.console import Group
    from rich.live import Live
    from rich.progress import Progress, TaskID

SHOWN = {"changed": "changed", "failed": "FAILED", "unreachable": "UNREACHABLE", "retry": "waiting"}


def reporter(*, quiet: bool = False) -> "TerminalReporter | PlainReporter":
    """Return the reporter for this terminal, or for no terminal: there `quiet` says only what went wrong."""
    return TerminalReporter() if sys.stderr.isatty() else PlainReporter(quiet=quiet)


class PlainReporter:
    """One line per stage, and per task that did something."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._quiet = quiet
        self._stage = ""
        self._began = 0.0
        self._last_load = 0.0
        self._view = LoadView()
        self._task = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        _say_where(kind, self._stage)

    def begin(self, stage: str) -> None:
        """Start a stage."""
        self._stage, self._began = stage, time.monotonic()
        if not self._quiet:
            say(f"{stage} ...")

    def done(self, stage: str, detail: str) -> None:
        """End a stage."""
        say(f"{stage}: {detail} ({time.monotonic() - self._began:.0f} s)")

    def task(self, event: TaskEvent) -> None:
        """Print tasks as they begin, and what they changed or broke."""
        if self._quiet and event.kind not in {"failed", "unreachable"}:
            return
        where = " : ".join(part for part in (event.host, event.role, event.task) if part)
        if event.kind == "task" and where != self._task:
            self._task = where
            say(f"  [{event.done}{f'/{event.expected}' if event.expected else ''}] {where}")
        elif event.kind in SHOWN:
            say(f"      {SHOWN[event.kind]}: {event.host or ''} {event.message or ''}".rstrip())

    def load(self, progress: LoadProgress) -> None:
        """Print the load test's state every few seconds."""
        self._view.add(progress)
        if time.monotonic() - self._last_load >= 5:
            self._last_load = time.monotonic()
            say(f"  {self._view.line()}")

    def note(self, text: str) -> None:
        """Print a sentence."""
        say(f"  {text}")


class TerminalReporter:
    """A spinner with a bar for the stage at work, and a line for each that ended."""

    def __init__(self) -> None:
        self._progress: Progress | None = None
        self._live: Live | None = None
        self._view = LoadView()
        self._line: TaskID | None = None
        self._stage = ""
        self._began = 0.0

    def __enter__(self) -> Self:
        from rich.console import Console
        from rich.live import Live
        from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
        from rich.table import Column

        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.fields[stage]}", style="bold", table_column=Column(no_wrap=True, min_width=9)),
            BarColumn(bar_width=16),
            TimeElapsedColumn(),
            TextColumn(
                "{task.description}", markup=False, table_column=Column(no_wrap=True, overflow="ellipsis", ratio=1)
            ),
            expand=True,
            console=Console(stderr=True, highlight=False, color_system=colours()),
        )
        self._live = Live(
            get_renderable=self._shown, console=self._progress.console, transient=True, refresh_per_second=10
        )
        self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._live:
            self._live.stop()
        _say_where(kind, self._stage)

    def begin(self, stage: str) -> None:
        """Start a stage."""
        self._stage, self._began = stage, time.monotonic()
        if self._progress:
            self._drop_line()
            self._line = self._progress.add_task("", total=None, stage=stage)

    def done(self, stage: str, detail: str) -> None:
        """End a stage."""
        self._drop_line()
        if self._progress:
            from rich.text import Text

            seconds = time.monotonic() - self._began
            mark = Text.assemble(("✓ ", "green"), (f"{stage:<10}", "bold"), f" {detail}", (f"  {seconds:.0f} s", "dim"))
            self._progress.console.print(mark)

    def task(self, event: TaskEvent) -> None:
        """Move the bar to the task at work."""
        if self._progress is None or self._line is None:
            return
        if event.kind in {"task", "started", "retry"}:
            where = " : ".join(part for part in (event.host, event.role, event.task) if part)
            text = f"{where} {event.message}" if event.kind == "retry" and event.message else where
            self._progress.update(self._line, description=text, completed=event.done, total=event.expected)
        elif event.kind in {"failed", "unreachable"}:
            self._progress.console.print(f"✗ {event.host} {event.task}: {SHOWN[event.kind]}", markup=False)

    def load(self, progress: LoadProgress) -> None:
        """Move the bar with the load test."""
        self._view.add(progress)
        if self._progress is not None and self._line is not None:
            self._progress.update(
                self._line,
                completed=progress.elapsed_s,
                total=max(progress.expected_s, 0.1),
            )

    def note(self, text: str) -> None:
        """Print a sentence above the line."""
        if self._progress:
            self._progress.console.print(f"  {text}", markup=False)

    def _shown(self) -> "Group":
        """Return what moves: the stage at work, and under it the figures of a load test."""
        from rich.console import Group

        return Group(*([self._progress] if self._progress else []), self._view.table())

    def _drop_line(self) -> None:
        self._view = LoadView()
        if self._progress is not None and self._line is not None:
            self._progress.remove_task(self._line)
            self._line = None


def _say_where(kind: type[BaseException] | None, stage: str) -> None:
    """Make of a bare Ctrl-C the error that says what it interrupted; stages that end in order raise their own."""
    if kind is KeyboardInterrupt and stage:
        raise Interrupted(
            f"interrupted during the stage `{stage}`", hint="run the same command again: it goes on from there"
        )
