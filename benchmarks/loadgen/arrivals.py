"""Arrivals of 1, 2 and 4 processes at one rate, audited twice: as the schedule means them, and as the target saw them come.

`python benchmarks/loadgen/arrivals.py` (method: benchmarks/README.md). Asserts nothing.
"""

import argparse
import datetime as dt
import os
import platform
import sys
import tempfile
from pathlib import Path

from compare import before_others, place, quantile
from target import Pace, target

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from deploykit.catalog.workload import Fixed, OpenLoop, Slo, Workload  # noqa: E402
from deploykit.effects.locust import LocustGenerator  # noqa: E402
from deploykit.measuring.arrivals import audit_arrivals, process_of  # noqa: E402
from deploykit.measuring.measurements import ArrivalAudit  # noqa: E402
from deploykit.measuring.samples import LoadTestSpec, RequestSample  # noqa: E402
from deploykit.measuring.window import Window  # noqa: E402

HEAD = [
    "processes", "requests", "schedule", "KS (limit)", "dispersion (limits)", "repeated", "sent late p99 ms",
    "came late p50 / p99 / max ms", "KS at the target", "dispersion at the target", "as named",
]  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=float, default=100, help="requests per second")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--processes", type=int, nargs="*", default=[1, 2, 4])
    parser.add_argument("--arrivals", choices=["poisson", "constant"], default="poisson")
    parser.add_argument("--priority", type=int, help="raise it above other work (root): -10, say")
    options = parser.parse_args()
    if options.priority is not None:
        before_others(options.priority)
    stage = OpenLoop(requests_per_s=options.rate, duration_s=options.seconds, arrivals=options.arrivals)
    rows, first = [], None
    for processes in options.processes:
        row, meant = measure(stage, processes)
        first = first or meant
        row[2] = "same" if meant == first else "differs"
        rows.append(row)
        print("| " + " | ".join(row) + " |", file=sys.stderr, flush=True)
    print(
        f"\n{options.arrivals}, {options.rate:g} requests/s for {options.seconds:g} s, {platform.machine()}, ", end=""
    )
    print(f"{os.cpu_count()} cores, load average {os.getloadavg()[0]:.1f}\n")
    for row in [HEAD, ["---"] * len(HEAD), *rows]:
        print("| " + " | ".join(row) + " |")


def measure(stage: OpenLoop, processes: int) -> tuple[list[str], list[float]]:
    """Return a row, and when the schedule means each request, in seconds since the stage began."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        with target(Pace(ttft_ms=50, itl_ms=10, tokens=20), folder) as serving:
            place(serving.pid, 0, None)
            stat = serving.stat()
            spec = LoadTestSpec(base_url=serving.url, model="paced", workload=workload(stage), processes=processes)
            generator = LocustGenerator(ROOT / "loadtests")
            facts, samples = generator.run(spec, directory=folder, api_key=None, on_progress=lambda _: None)
        truth = serving.truth()
    zero_ns = round(facts.started_at.timestamp() * 1e9) - (stat["wall_ns"] - stat["monotonic_ns"])
    start = facts.stage_starts_s[0]
    window = Window(start, facts.stage_ends_s[0])
    came = {s.request: (truth[s.prompt_tokens].request - zero_ns) / 1e9 for s in samples if s.prompt_tokens in truth}
    late = [(came[s.request] - s.intended_s) * 1e3 for s in samples if s.request in came]
    at_target = [s.model_copy(update={"intended_s": at, "sent_s": at}) for s in samples if (at := came.get(s.request))]
    meant, seen = _audit(stage, samples, window), _audit(stage, at_target, window)
    lates = " / ".join(f"{value:.2f}" for value in (quantile(late, 0.5), quantile(late, 0.99), max(late)))
    row = [
        str(processes),
        f"{meant.requests:,} of {meant.expected or 0:,.0f}",
        "",
        _against(meant.distance, f"{meant.distance_limit or 0:.3f}"),
        _against(meant.dispersion, f"{meant.dispersion_low or 0:.2f} to {meant.dispersion_high or 0:.2f}"),
        "" if meant.repeated is None else f"{meant.repeated:.1%}",
        f"{(meant.send_lag_p99_s or 0) * 1e3:.2f}",
        lates,
        f"{seen.distance or 0:.3f}",
        "" if seen.dispersion is None else f"{seen.dispersion:.2f}",
        "; ".join([*meant.failed, *(f"at the target: {why}" for why in seen.failed)]) or "yes",
    ]
    return row, sorted(round(s.intended_s - start, 6) for s in samples)


def _audit(stage: OpenLoop, samples: "list[RequestSample] | tuple[RequestSample, ...]", window: Window) -> ArrivalAudit:
    process = process_of(stage)
    if process is None:
        raise SystemExit("a closed loop has no arrivals of its own")
    return audit_arrivals(process, samples, window)


def _against(found: float | None, limit: str) -> str:
    return "" if found is None else f"{found:.3f} ({limit})"


def workload(stage: OpenLoop) -> Workload:
    return Workload(
        name="arrivals", title="Arrivals", source="benchmarks/loadgen", as_of=dt.date(2026, 12, 1), prompt_tokens=Fixed(tokens=30),
        output_tokens=Fixed(tokens=20), warmup_s=0, stages=(stage,), slo=Slo(), ignore_eos=True, temperature=0, seed=7,
    )  # fmt: skip


if __name__ == "__main__":
    main()
