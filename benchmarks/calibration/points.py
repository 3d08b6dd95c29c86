"""The measured rows -> one point per configuration, each with the subject that the runtime would build for it."""

import csv
import statistics
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

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


def load_points() -> tuple[list[Point], Counter[str]]:
    """Return the points, and how many rows were left out for which reason."""
    setups = yaml.safe_load((HERE / "setups.yaml").read_text(encoding="utf-8"))
    catalog = YamlCatalog(ROOT / "profiles")
    profiles = {repo: _profile(catalog, entry) for repo, entry in setups["models"].items()}
    left_out: Counter[str] = Counter()
    groups: dict[tuple[str, ...], list[dict[str, str]]] = {}
    seen: set[tuple[str, ...]] = set()
    with (HERE / "vllm_measured.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(line for line in file if not line.startswith("#")):
            why = next((e["because"] for e in setups["left_out"] if _matches(row, e["match"])), None)
            key = tuple(row[k] for k in ("model", "gpu", "engine", "tp", "moe_ep", "isl", "osl", "concurrency"))
            values = (*key, row["ttft_ms"], row["tpot_ms"])
            if why is None and values in seen:
                why = "the same run, stored twice"
            if why is not None:
                left_out[why] += 1
                continue
            seen.add(values)
            groups.setdefault(key, []).append(row)
    subjects: dict[tuple[str, ...], Subject] = {}
    points = []
    for key, rows in groups.items():
        row = rows[0]
        if key[:5] not in subjects:
            subjects[key[:5]] = _subject(row, profiles, setups, catalog)
        peaks = peaks_of(subjects[key[:5]])
        if peaks is None:
            raise SystemExit(f"the peaks of {row['gpu']} are not known")
        points.append(
            Point(
                model=row["model"].split("/")[1],
                gpu=row["gpu"].split("_")[0].upper(),
                engine=row["engine"],
                date=row["measured"],
                subject=subjects[key[:5]],
                peaks=peaks,
                concurrency=int(row["concurrency"]),
                prompt=float(row["isl"]),
                output=float(row["osl"]),
                ttft_s=statistics.median(float(r["ttft_ms"]) for r in rows) / 1000,
                tpot_s=statistics.median(float(r["tpot_ms"]) for r in rows) / 1000,
                runs=len(rows),
            )
        )
    return points, left_out


def request_of(point: Point) -> Request:
    """Return the load of a point's engine."""
    return Request(point.concurrency / point.subject.ranks, point.prompt, 0.0, point.output)


def is_full(point: Point) -> bool:
    """Whether requests wait for room in the KV cache: those points measure the queue, not the engine."""
    request = request_of(point)
    return request.per_rank > room(point.subject, request)


def _matches(row: dict[str, str], wanted: dict[str, str]) -> bool:
    return all(row[k] == v for k, v in wanted.items())


def _profile(catalog: YamlCatalog, entry: dict[str, str]) -> tuple[Profile, str]:
    if "profile" in entry:
        return catalog.model(entry["profile"]), entry["checkpoint"]
    path = HERE / "models" / f"{entry['facts']}.yaml"
    return load_yaml_model(path, Profile, name=path.stem), entry["checkpoint"]


def _subject(
    row: dict[str, str], profiles: dict[str, tuple[Profile, str]], setups: dict[str, Any], catalog: YamlCatalog
) -> Subject:
    profile, name = profiles[row["model"]]
    checkpoint = next(c for c in profile.checkpoints if c.name == name)
    gpu = catalog.node(setups["nodes"][row["gpu"]]).gpu
    architecture, weights = profile.architecture, weights_of(checkpoint, profile)
    if gpu is None or architecture is None or weights is None or gpu.capability is None:
        raise SystemExit(f"the facts of {row['model']} on {row['gpu']} are not complete")
    capacity = capacity_of(gpu)
    layout = Parallelism(tensor=int(row["tp"]), expert=int(row["moe_ep"] or 1) > 1)
    ground = Ground(
        architecture=architecture,
        weights=weights,
        capability=gpu.capability,
        capacity_bytes=capacity[0] if capacity else 0.0,
        utilization=UTILIZATION,
        kv_dtype=_kv_dtype(row, setups),
    )
    subject = subject_of(profile, checkpoint, gpu, ground, gpu_need(ground, layout))
    if subject is None:
        raise SystemExit(f"the parameters of {row['model']} are not known")
    return subject


def _kv_dtype(row: dict[str, str], setups: dict[str, Any]) -> Any:  # noqa: ANN401 - `bf16` or `fp8`, as YAML has it
    for entry in setups["kv_dtypes"]:
        if _matches(row, {k: v for k, v in entry.items() if k != "kv_dtype"}):
            return entry["kv_dtype"]
    raise SystemExit(f"setups.yaml says nothing about the KV cache of {row['model']}")
