"""Run folders of base and head -> what the gate says. Every figure is made from the samples, not taken from a report."""

from collections import Counter
from collections.abc import Sequence
from typing import Protocol

from deploykit.catalog.margins import Margins
from deploykit.costing.pricing import Pricing, compare_priced
from deploykit.errors import ComparisonError
from deploykit.gating.noise import NoisePair, in_twos, kept_from
from deploykit.gating.run import GateRun, gate_run
from deploykit.gating.verdict import Gate, judge
from deploykit.measuring.measure import measure
from deploykit.measuring.measurements import Measurements
from deploykit.measuring.samples import LoadTestRun
from deploykit.planning.plan import Plan
from deploykit.workflows.remake import EVIDENCE, read_found
from deploykit.workflows.report import read_run
from deploykit.workflows.stores import RunFolder, RunFolders


class NoiseStore(Protocol):
    """Pairs of A/A runs that were kept."""

    def pairs(self) -> tuple[NoisePair, ...]:
        """Return all of them."""
        ...

    def add(self, pairs: tuple[NoisePair, ...]) -> int:
        """Keep pairs that are not kept yet; return how many."""
        ...


def gate(
    runs: RunFolders,
    base: Sequence[str],
    head: Sequence[str],
    margins: Margins,
    *,
    noise: Sequence[str] | NoiseStore,
    names: tuple[str, str] = ("base", "head"),
) -> Gate:
    """Hold runs of the head against runs of the base; `noise` are A/A runs, or where such pairs were kept.

    Raises CatalogError for a run that is not there, StorageError for a damaged one, MixedRunsError where they cannot be
    compared.
    """
    named = tuple(noise) if isinstance(noise, Sequence) else ()
    made = _gate_runs(runs, base, (*head, *named))
    return judge(
        [made[name] for name in base],
        [made[name] for name in head],
        margins,
        noise=in_twos([made[name] for name in named]) if isinstance(noise, Sequence) else noise.pairs(),
        names=names,
    )


def keep_noise(runs: RunFolders, base: Sequence[str], head: Sequence[str], store: NoiseStore) -> int:
    """Keep the pairs of an A/A test for later gates; return how many are new. MixedRunsError if it is none."""
    made = _gate_runs(runs, base, head)
    return store.add(kept_from([made[name] for name in base], [made[name] for name in head]))


def _gate_runs(runs: RunFolders, base: Sequence[str], others: Sequence[str]) -> dict[str, GateRun]:
    """Measure every run once, at the stage that most runs of the base are priced at."""
    read = {name: _read(runs.open(name)) for name in dict.fromkeys((*base, *others))}
    stages = Counter(read[name][2].priced_stage for name in base)
    stage = stages.most_common(1)[0][0] if stages else 0
    return {name: _gate_run(*read[name], stage=stage) for name in read}


def _read(folder: RunFolder) -> tuple[RunFolder, LoadTestRun, Measurements]:
    loadtest = read_run(folder)
    return folder, loadtest, measure(loadtest)


def _gate_run(folder: RunFolder, loadtest: LoadTestRun, measured: Measurements, *, stage: int) -> GateRun:
    own = folder.digest(EVIDENCE)
    compared = busy = None
    if folder.path("pricing.json").is_file():
        try:
            pricing = folder.read("pricing.json", Pricing)
            compared, busy = compare_priced(measured, pricing), pricing.duty
        except ComparisonError:  # it served nothing: its verdict says so
            compared = None
    return gate_run(
        folder.directory.name,
        loadtest,
        measured,
        stage=min(stage, len(measured.stages) - 1),
        plan=folder.read("plan.json", Plan) if folder.path("plan.json").is_file() else None,
        compared=compared,
        busy=busy,
        found=read_found(folder),
    ).model_copy(update={"evidence_sha256": own.sha256 if own else None})
