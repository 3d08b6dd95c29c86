"""Our own generator as one command, as `deploykit loadtest` runs it: `python ours.py URL STREAMS REQUESTS TOKENS FOLDER [SECONDS]`."""

import datetime as dt
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from deploykit.catalog.workload import ClosedLoop, Fixed, Slo, Workload  # noqa: E402
from deploykit.effects.locust import LocustGenerator  # noqa: E402
from deploykit.measuring.samples import LoadTestSpec  # noqa: E402


def main(url: str, streams: int, requests: int, tokens: int, folder: Path, seconds: float) -> None:
    workload = Workload(
        name="bench",
        title="Benchmark",
        source="benchmarks/loadgen",
        as_of=dt.date(2026, 11, 24),
        prompt_tokens=Fixed(tokens=30),
        output_tokens=Fixed(tokens=tokens),
        warmup_s=0,
        stages=(ClosedLoop(users=streams, duration_s=seconds, max_requests=requests),),
        slo=Slo(),
        ignore_eos=True,
        temperature=0,
        seed=7,
    )
    spec = LoadTestSpec(base_url=url, model="paced", workload=workload)
    LocustGenerator(ROOT / "loadtests").run(spec, directory=folder, api_key=None, on_progress=lambda _: None)


if __name__ == "__main__":
    streams, requests, tokens = map(int, sys.argv[2:5])
    seconds = float(sys.argv[6]) if len(sys.argv) > 6 else 600
    main(sys.argv[1], streams, requests, tokens, Path(sys.argv[5]), seconds)
