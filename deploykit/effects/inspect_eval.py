"""`inspect eval`, the program of the extra `inspect`: a task against an endpoint, and its log as JSON."""

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from deploykit.effects.child_environment import child_environment
from deploykit.errors import LoadTestError, UsageError
from deploykit.quality.results import Asked

_PROVIDER = "deploykit"
_LAST = 3000


class InspectEval:
    """Runs Inspect; UsageError where it is not installed."""

    def __init__(self) -> None:
        beside = Path(sys.executable).parent / "inspect"
        self._program = str(beside) if beside.is_file() else shutil.which("inspect") or ""
        if not self._program:
            raise UsageError(
                "the program `inspect` is not installed", hint="pip install 'deploykit[inspect]' brings inspect-ai"
            )

    def run(self, task: str, asked: Asked, api_key: str | None, *, runs: int, at_once: int) -> dict[str, Any]:
        """Return the log of a task; LoadTestError with Inspect's last words if it made none that is whole.

        The key goes by the environment. What the task runs, it runs as Inspect does, in Inspect's own sandbox or none.
        """
        with tempfile.TemporaryDirectory(prefix="deploykit-inspect-") as folder:
            command = [self._program, "eval", task, "--model", f"openai-api/{_PROVIDER}/{asked.model}", "--log-format", "json",
                       "--log-dir", folder, "--display", "plain", "--epochs", str(runs), "--epochs-reducer", "mean",
                       "--max-connections", str(at_once), "--no-log-realtime", "--no-fail-on-error"]  # fmt: skip
            if asked.max_tokens is not None:
                command += ["--max-tokens", str(asked.max_tokens)]
            if asked.temperature is not None:
                command += ["--temperature", str(asked.temperature)]
            environment = child_environment() | {
                f"{_PROVIDER.upper()}_BASE_URL": f"{asked.base_url}/v1",
                f"{_PROVIDER.upper()}_API_KEY": api_key or "none",
                "INSPECT_DISPLAY": "plain",
                "NO_COLOR": "1",
            }
            ran = subprocess.run(  # noqa: S603 - the operator's own task
                command, env=environment, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
            )
            logs = sorted(Path(folder).glob("*.json"))
            if ran.returncode != 0 or len(logs) != 1:
                raise LoadTestError(
                    f"`inspect eval {task}` made {len(logs)} logs and ended with {ran.returncode}",
                    detail=_without(ran.stdout + ran.stderr, api_key)[-_LAST:] or None,
                    hint="one task that `inspect eval` runs by itself: a file, FILE@TASK or PACKAGE/TASK",
                )
            try:
                found: dict[str, Any] = json.loads(logs[0].read_text(encoding="utf-8"))
            except ValueError as error:
                raise LoadTestError(f"the log of `inspect eval {task}` is no JSON: {error}") from None
        if found.get("status") != "success":
            told = str((found.get("error") or {}).get("message") or "")
            raise LoadTestError(
                f"`inspect eval {task}` ended as `{found.get('status')}`",
                detail=_without(told, api_key)[-_LAST:] or None,
            )
        return found


def _without(text: str, secret: str | None) -> str:
    return text.replace(secret, "***") if secret else text
