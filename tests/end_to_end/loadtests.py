"""`deploykit loadtest` as a user runs it, with a workload that takes seconds, against servers that are known."""

import json
import os
from pathlib import Path
from typing import Any

import psutil
import yaml

from deploykit.caveat import Weight
from deploykit.measuring.samples import RequestSample, parse_samples

QUICK: dict[str, Any] = {
    "title": "Seconds", "source": "this test", "as_of": "2026-12-01",
    "prompt_tokens": {"kind": "fixed", "tokens": 60}, "output_tokens": {"kind": "fixed", "tokens": 20}, "warmup_s": 0,
    "stages": [{"kind": "closed", "users": 2, "duration_s": 30, "max_requests": 20}],
    "slo": {"ttft_s": 0.5, "tpot_s": 0.2, "share": 0.9}, "ignore_eos": True, "temperature": 0, "seed": 7,
}  # fmt: skip
KEY = "sk-not-to-be-seen"
WEIGHTS = [weight.value for weight in Weight]
"""From the lightest."""


def give_workload(user: Any, name: str, **changes: Any) -> str:
    """Put a workload into the user's own profiles; return its name."""
    folder = user.home / "profiles" / "workloads"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.yaml").write_text(yaml.safe_dump(QUICK | changes))
    user.extra |= {"DEPLOYKIT_PROFILES": str(folder.parent), "DEPLOYKIT_API_KEY": KEY}
    return name


def work_in(user: Any, folder: Path) -> None:
    """Give the user another folder to work in: runs of another test are not mistaken for this one's."""
    user.work = folder / "work folder"
    user.work.mkdir()


def newest(user: Any) -> Path:
    """Return the folder of the newest run, or of none."""
    link = user.work / "runs" / "latest"
    return Path(link.resolve()) if link.is_symlink() else Path(user.work / "runs" / "none")


class Ended:
    """A load test that ended, its exit code, what it printed and its folder."""

    def __init__(self, user: Any, code: int, out: str, err: str) -> None:
        self.user, self.code, self.out, self.err = user, code, out, err
        self.folder = newest(user)

    @property
    def said(self) -> str:
        return self.err + self.out

    @property
    def samples(self) -> tuple[RequestSample, ...]:
        return parse_samples((self.folder / "samples.jsonl").read_text())

    def outcomes(self) -> dict[str, int]:
        found = [sample.outcome for sample in self.samples]
        return {outcome: found.count(outcome) for outcome in sorted(set(found))}

    @property
    def measured(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.folder / "measurements.json").read_text())
        return found

    def caveats(self) -> dict[str, str]:
        """Return the heaviest weight of each code: one may be said of several figures."""
        found: dict[str, str] = {}
        for caveat in self.measured["caveats"]:
            found[caveat["code"]] = max(caveat["weight"], found.get(caveat["code"], "note"), key=WEIGHTS.index)
        return found


def loadtest(user: Any, *arguments: str, certificate: bool = False) -> Ended:
    """Run `deploykit loadtest ARGUMENTS` to its end; the generator does not certify itself unless it is asked to."""
    ran = user.run("loadtest", *arguments, *([] if certificate else ["--no-certificate"]), timeout=600)
    assert "Traceback" not in ran.stderr, ran.stderr
    assert KEY not in ran.stdout + ran.stderr
    return Ended(user, ran.returncode, ran.stdout, ran.stderr)


def locusts(user: Any) -> list[psutil.Process]:
    """Return the load generator's processes of a user."""
    found = []
    for process in psutil.process_iter():
        try:
            if "locust" in process.cmdline() and Path(process.cwd()).is_relative_to(user.work):
                found.append(process)
        except psutil.Error:
            continue
    return found


def seen_in(folder: Path, pattern: str) -> bool:
    """Whether a file of this name has something in it."""
    return any(file.stat().st_size for file in folder.glob(pattern))


def no_key_in(folder: Path) -> bool:
    """Whether no file under a folder holds the key."""
    files = [Path(root) / name for root, _, names in os.walk(folder) for name in names]
    return not any(KEY.encode() in file.read_bytes() for file in files)
