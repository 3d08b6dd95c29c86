"""A run folder's report held against its evidence: digests first, then every number made again from the inputs."""

import re

from deploykit.errors import DeploykitError, Place, StorageError
from deploykit.measuring.found import Found, found_again
from deploykit.measuring.measure import measure
from deploykit.measuring.samples import LoadTestRun
from deploykit.planning.plan import Plan
from deploykit.rendering.bundle import Manifest
from deploykit.reporting.differences import Mismatch, in_json, in_text
from deploykit.reporting.evidence import Evidence
from deploykit.reporting.verification import Verification
from deploykit.workflows.remake import EVIDENCE, FOUND, Part, drawn_by, evidence_names, remade
from deploykit.workflows.report import read_run
from deploykit.workflows.stores import RunFolder

_ROUNDING = 1e-9
"""Between platforms, whose logarithms differ in the last digit. Only for a file that is as it was made."""
_SVG = re.compile(r"<svg.*?</svg>", re.DOTALL)


def verify(run: RunFolder, *, expected: str | None = None) -> Verification:
    """Recompute a report from its evidence alone; `expected` is what its own SHA-256 should begin with.

    Raises StorageError if there is no evidence, or it cannot be read.
    """
    evidence, own = read_evidence(run), run.digest(EVIDENCE)
    assert own is not None  # noqa: S101 - it was read
    check = _Check(run, evidence)
    if expected is not None and not own.sha256.startswith(expected.lower()):
        check.differs(EVIDENCE, "sha256", expected, own.sha256)
    check.digests()
    check.recompute()
    return Verification(
        run=evidence.basis.run,
        evidence_sha256=own.sha256,
        files=len(evidence.files),
        numbers=check.numbers,
        mismatches=tuple(check.mismatches),
        not_checked=tuple(check.not_checked),
    )


def read_evidence(run: RunFolder) -> Evidence:
    """Read a run's evidence; StorageError with the way to make it where there is none."""
    if not run.path(EVIDENCE).is_file():
        raise StorageError(
            f"there is no {EVIDENCE} in this run",
            where=Place(str(run.path(EVIDENCE))),
            hint="`deploykit report RUN` writes it with the report, where a load test was made",
        )
    return run.read(EVIDENCE, Evidence)


class _Check:
    """One verification under way."""

    def __init__(self, run: RunFolder, evidence: Evidence) -> None:
        self._run, self._evidence = run, evidence
        self.mismatches: list[Mismatch] = []
        self.not_checked: list[str] = []
        self.numbers = 0
        self._as_made: set[str] = set()

    def differs(self, file: str, path: str, reported: str, recomputed: str) -> None:
        self.mismatches.append(Mismatch(file=file, path=path, reported=reported, recomputed=recomputed))

    def digests(self) -> None:
        """Compare every listed file with its digest, and look for files that should have been listed."""
        for file in self._evidence.files:
            found = self._run.digest(file.path)
            if found is None:
                self.differs(file.path, "", f"sha256 {file.sha256}", "(absent)")
            elif found.sha256 != file.sha256:
                self.differs(file.path, "sha256", file.sha256, found.sha256)
            else:
                self._as_made.add(file.path)
        listed = {file.path for file in self._evidence.files}
        for name in sorted(set(evidence_names(self._run)) - listed):
            self.differs(name, "", "not in the evidence", "a file that the report is made from, or is")

    def recompute(self) -> None:
        """Make everything again; what stops that is told, unless it would leave no word of a mismatch."""
        try:
            loadtest = read_run(self._run)
            self._manifest()
            for part in remade(self._run, loadtest, self._evidence.basis):
                if self._run.find(part.name):
                    self._compare(part)
            self._found(loadtest)
        except DeploykitError as error:
            if not self.mismatches:
                raise
            self.not_checked.append(f"what comes after this, which cannot be made again: {error.what}")

    def _compare(self, part: Part) -> None:
        reported = self._run.read_text(part.name)
        if part.name.endswith(".json"):
            tolerance = _ROUNDING if part.name in self._as_made else 0.0
            found, numbers = in_json(part.name, reported, part.text, tolerance=tolerance)
            self.mismatches += found
            self.numbers += numbers
            return
        recomputed = part.text
        here = drawn_by()
        if part.name.endswith(".html") and here != self._evidence.drawn_by:
            reported, recomputed = _SVG.sub("", reported), _SVG.sub("", recomputed)
            self.not_checked.append(
                f"the plots in {part.name}: drawn by {_versions(self._evidence.drawn_by)}, here is {_versions(here)}"
            )
        self.mismatches += in_text(part.name, reported, recomputed)

    def _manifest(self) -> None:
        """Hold the bundle's files against its manifest, and the manifest against the release that was deployed."""
        if not self._run.find("bundle/manifest.json"):
            return
        manifest = self._run.read("bundle/manifest.json", Manifest)
        if manifest.digest != manifest.recomputed:
            self.differs("bundle/manifest.json", "digest", manifest.digest, manifest.recomputed)
        for index, file in enumerate(manifest.files):
            found = self._run.digest(f"bundle/{file.path}")
            if found is not None and found.sha256 != file.sha256:
                self.differs("bundle/manifest.json", f"files[{index}].sha256", file.sha256, found.sha256)

    def _found(self, loadtest: LoadTestRun) -> None:
        """Make again what a sweep, a search or repeated runs found."""
        if not self._run.find(FOUND):
            return
        found = self._run.read(FOUND, Found)
        plan = self._run.read("plan.json", Plan) if self._run.find("plan.json") else None
        gpus = 0 if plan is None or plan.stand_in is not None else plan.nodes * plan.gpus_per_node
        again = found_again(
            found,
            loadtest.spec.workload.stages,
            measure(loadtest),
            [measure(self._trial(name)) for name in self._run.find("trials/*/loadtest-run.json")],
            gpus=gpus,
        )
        unknown = [name for name in Found.model_fields if getattr(found, name) and not getattr(again, name)]
        self.not_checked += [f"`{name}` in {FOUND}: its trials' samples do not tell it again" for name in unknown]
        again = again.model_copy(update={name: getattr(found, name) for name in unknown})
        tolerance = _ROUNDING if FOUND in self._as_made else 0.0
        differences, numbers = in_json(FOUND, self._run.read_text(FOUND), again.as_json(), tolerance=tolerance)
        self.mismatches += differences
        self.numbers += numbers

    def _trial(self, name: str) -> LoadTestRun:
        samples = self._run.read_samples(name.replace("loadtest-run.json", "samples.jsonl"))
        return self._run.read(name, LoadTestRun).model_copy(update={"samples": samples})


def _versions(versions: dict[str, str]) -> str:
    return ", ".join(f"{name} {version}" for name, version in sorted(versions.items()))
