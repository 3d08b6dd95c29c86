"""The measured rows -> one point per configuration, each with the subject that the runtime would build for it."""

import csv
import statistics
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from deploykit.catalog.attention import KvDtype
from deploykit.catalog.node import Gpu
from deploykit.catalog.profile import Profile
from deploykit.effects.yaml_files import YamlCatalog, load_yaml_model
from deploykit.planning.calibrated import Request
from deploykit.planning.memory import Ground, capacity_of, gpu_need
from deploykit.planning.plan import Parallelism
from deploykit.planning.prediction import room, subject_of
from deploykit.planning.roofline import Peaks, Subject, peaks_of
from deploykit.planning.weights import weights_of

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
UTILIZATION = 0.90


@dataclass(frozen=True)
class Point:
    """One configuration; repeated runs of it are their median."""

    model: str
    gpu: str
    engine: str
    date: str
    subject: Subject
    peaks: Peaks
    concurrency: int
    prompt: float
    output: float
    ttft_s: float
    tpot_s: float
    runs: int


class Setups:
    """The profiles, GPUs and settings that setups.yaml names."""

    def __init__(self) -> None:
        self.data: dict[str, Any] = yaml.safe_load((HERE / "setups.yaml").read_text(encoding="utf-8"))
        catalog = YamlCatalog(ROOT / "profiles")
        self.profiles = {repo: _profile(catalog, entry) for repo, entry in self.data["models"].items()}
        self.gpus = {name: gpu for name, node in self.data["nodes"].items() if (gpu := catalog.node(node).gpu)}

    def why_left_out(self, row: dict[str, str]) -> str | None:
        """Return why a row says nothing about the layout it names, or None."""
        return next((e["because"] for e in self.data["left_out"] if _matches(row, e["match"])), None)

    def subject(self, row: dict[str, str]) -> Subject:
        """Return the subject of a measured row."""
        return make_subject(
            self.profiles[row["model"]],
            self.data["models"][row["model"]]["checkpoint"],
            self.gpus[row["gpu"]],
            Parallelism(tensor=int(row["tp"]), expert=int(row["moe_ep"] or 1) > 1),
            _kv_dtype(row, self.data["kv_dtypes"]),
        )


def load_points() -> tuple[list[Point], Counter[str]]:
    """Return the points, and how many rows were left out for which reason."""
    setups = Setups()
    left_out: Counter[str] = Counter()
    groups: dict[tuple[str, ...], list[dict[str, str]]] = {}
    seen: set[tuple[str, ...]] = set()
    with (HERE / "vllm_measured.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(line for line in file if not line.startswith("#")):
            why = setups.why_left_out(row)
            key = tuple(row[k] for k in ("model", "gpu", "engine", "tp", "moe_ep", "isl", "osl", "concurrency"))
            values = (*key, row["ttft_ms"], row["tpot_ms"])
            if why is None and values in seen:
                why = "the same run, stored twice"
            if why is not None:
                left_out[why] += 1
                continue
            seen.add(values)
            groups.setdefault(key, []).append(row)
    return [_point(rows, setups) for rows in groups.values()], left_out


def _point(rows: list[dict[str, str]], setups: Setups) -> Point:
    row = rows[0]
    subject = setups.subject(row)
    peaks = peaks_of(subject)
    if peaks is None:
        raise SystemExit(f"the peaks of {row['gpu']} are not known")
    return Point(
        model=row["model"].split("/")[1],
        gpu=row["gpu"].split("_")[0].upper(),
        engine=row["engine"],
        date=row["measured"],
        subject=subject,
        peaks=peaks,
        concurrency=int(row["concurrency"]),
        prompt=float(row["isl"]),
        output=float(row["osl"]),
        ttft_s=statistics.median(float(r["ttft_ms"]) for r in rows) / 1000,
        tpot_s=statistics.median(float(r["tpot_ms"]) for r in rows) / 1000,
        runs=len(rows),
    )


def request_of(point: Point) -> Request:
    """Return the load of a point's engine."""
    return Request(point.concurrency / point.subject.ranks, point.prompt, 0.0, point.output)


def is_full(point: Point) -> bool:
    """Whether requests wait for room in the KV cache: those points measure the queue, not the engine."""
    request = request_of(point)
    return request.per_rank > room(point.subject, request)


def _matches(row: dict[str, str], wanted: dict[str, str]) -> bool:
    return all(row[k] == v for k, v in wanted.items())


def _profile(catalog: YamlCatalog, entry: dict[str, str]) -> Profile:
    if "profile" in entry:
        return catalog.model(entry["profile"])
    path = HERE / "models" / f"{entry['facts']}.yaml"
    return load_yaml_model(path, Profile, name=path.stem)


def make_subject(profile: Profile, checkpoint_name: str, gpu: Gpu, layout: Parallelism, kv_dtype: KvDtype) -> Subject:
    """Return the subject of a layout as the planner would build it; ends the script where a fact is missing."""
    checkpoint = next(c for c in profile.checkpoints if c.name == checkpoint_name)
    architecture, weights, capacity = profile.architecture, weights_of(checkpoint, profile), capacity_of(gpu)
    if architecture is None or weights is None or gpu.capability is None or capacity is None:
        raise SystemExit(f"the facts of {profile.name} on {gpu.name} are not complete")
    ground = Ground(
        architecture=architecture,
        weights=weights,
        capability=gpu.capability,
        capacity_bytes=capacity[0],
        utilization=UTILIZATION,
        kv_dtype=kv_dtype,
    )
    subject = subject_of(profile, checkpoint, gpu, ground, gpu_need(ground, layout))
    if subject is None:
        raise SystemExit(f"the parameters of {profile.name} are not known")
    return subject


def _kv_dtype(row: dict[str, str], entries: list[dict[str, Any]]) -> KvDtype:
    for entry in entries:
        if _matches(row, {k: v for k, v in entry.items() if k != "kv_dtype"}):
            return "fp8" if entry["kv_dtype"] == "fp8" else "bf16"
    raise SystemExit(f"setups.yaml says nothing about the KV cache of {row['model']}")
