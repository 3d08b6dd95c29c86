"""One process's samples, progress and facts -> files, so written that a run cut short keeps what it had.

`samples-N.jsonl` grows by one flushed line per request, in the order they ended; `progress-N.json` is replaced as a
whole twice a second; `generator-N.json` is written once, at the end.
"""

import json
from collections import deque
from pathlib import Path
from typing import IO

from deploykit.measuring import window
from deploykit.measuring.certificate import Certificate
from deploykit.measuring.samples import ProcessFacts, ProcessProgress, RequestSample

_RECENT = 400
"""Requests whose latencies the operator sees while the test runs."""


class Recorder:
    """Writes one process's files into the run's folder, and counts what the progress shows."""

    def __init__(self, folder: Path, process: int) -> None:
        self._folder, self._process = folder, process
        self._samples: IO[str] | None = None
        self.finished = self.failed = self.input_tokens = self.output_tokens = 0
        self.certificate: Certificate | None = None
        self._recent: deque[tuple[float | None, float | None]] = deque(maxlen=_RECENT)

    def open(self) -> None:
        """Begin `samples-N.jsonl`."""
        file = self._folder / f"samples-{self._process}.jsonl"
        self._samples = file.open("w", encoding="utf-8", newline="\n")

    def sample(self, sample: RequestSample) -> None:
        """Write one request."""
        if self._samples is None:
            raise ValueError("the recorder is not open")
        self._samples.write(sample.model_dump_json(exclude_defaults=True) + "\n")
        self._samples.flush()
        self.finished += 1
        self.input_tokens += sample.prompt_tokens or 0
        self.output_tokens += sample.output_tokens or 0
        if sample.outcome == "ok":
            self._recent.append((window.ttft(sample), window.tpot(sample)))
        else:
            self.failed += 1

    def progress(self, *, stage: int, stages: int, elapsed_s: float, expected_s: float, in_flight: int) -> None:
        """Replace `progress-N.json`."""
        told = ProcessProgress(
            stage=stage,
            stages=stages,
            elapsed_s=round(elapsed_s, 3),
            expected_s=expected_s,
            in_flight=in_flight,
            finished=self.finished,
            failed=self.failed,
            input_tokens=self.input_tokens,
            output_tokens=self.output_tokens,
            certificate=self.certificate,
            recent_ttft_s=tuple(round(ttft, 6) for ttft, _ in self._recent if ttft is not None),
            recent_tpot_s=tuple(round(tpot, 6) for _, tpot in self._recent if tpot is not None),
        )
        self._replace(f"progress-{self._process}.json", told.model_dump_json())

    def failure(self, what: str) -> None:
        """Say in `failure.json` why there is no run."""
        self._replace("failure.json", json.dumps({"what": what}))

    def close(self, facts: ProcessFacts | None) -> None:
        """Write `generator-N.json`, if the load began, and close the samples."""
        if self._samples is not None:
            self._samples.close()
            self._samples = None
        if facts:
            self._replace(f"generator-{self._process}.json", facts.as_json())

    def _replace(self, name: str, text: str) -> None:
        part = self._folder / f".{name}.part"
        part.write_text(text, encoding="utf-8")
        part.replace(self._folder / name)
