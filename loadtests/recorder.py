"""Samples, progress and the generator's facts -> files, so written that a run cut short keeps what it had.

`samples.jsonl` grows by one flushed line per request, in the order they ended; `progress.json` is replaced as a whole
twice a second; `generator.json` is written once, at the end.
"""

import json
from pathlib import Path
from typing import IO

from deploykit.measuring.samples import GeneratorFacts, RequestSample


class Recorder:
    """Writes one run's files into its folder, and counts what the progress shows."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._samples: IO[str] | None = None
        self.finished = self.failed = self.output_tokens = 0

    def open(self) -> None:
        """Begin `samples.jsonl`."""
        self._samples = (self._folder / "samples.jsonl").open("w", encoding="utf-8", newline="\n")

    def sample(self, sample: RequestSample) -> None:
        """Write one request."""
        if self._samples is None:
            raise ValueError("the recorder is not open")
        self._samples.write(sample.model_dump_json(exclude_defaults=True) + "\n")
        self._samples.flush()
        self.finished += 1
        self.failed += sample.outcome != "ok"
        self.output_tokens += sample.output_tokens or 0

    def progress(self, *, stage: int, stages: int, elapsed_s: float, expected_s: float, in_flight: int) -> None:
        """Replace `progress.json`."""
        figures = {
            "stage": stage,
            "stages": stages,
            "elapsed_s": round(elapsed_s, 3),
            "expected_s": expected_s,
            "in_flight": in_flight,
            "finished": self.finished,
            "failed": self.failed,
            "output_tokens": self.output_tokens,
        }
        self._replace("progress.json", json.dumps(figures))

    def failure(self, what: str) -> None:
        """Say in `failure.json` why there is no run."""
        self._replace("failure.json", json.dumps({"what": what}))

    def close(self, facts: GeneratorFacts | None) -> None:
        """Write `generator.json`, if the load began, and close the samples."""
        if self._samples is not None:
            self._samples.close()
        if facts:
            self._replace("generator.json", facts.as_json())

    def _replace(self, name: str, text: str) -> None:
        part = self._folder / f".{name}.part"
        part.write_text(text, encoding="utf-8")
        part.replace(self._folder / name)
