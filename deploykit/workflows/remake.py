"""A run folder's files -> every value and text of its report, from these files alone, and the evidence of them.

`report` and `report verify` go the same road: neither the catalogue nor a network is asked here.
"""

from collections.abc import Iterator
from importlib.metadata import version
from typing import NamedTuple

from deploykit.costing.deciding import decisions, served_by
from deploykit.costing.parity import ParityInputs, parity, service_of
from deploykit.costing.pricing import Pricing, compare_priced
from deploykit.deploying.deployment import Deployment
from deploykit.measuring.found import Found
from deploykit.measuring.measure import measure
from deploykit.measuring.measurements import Measurements
from deploykit.measuring.samples import LoadTestRun
from deploykit.planning.plan import Plan
from deploykit.rendering.bundle import Manifest
from deploykit.reporting.evidence import Basis, Evidence, EvidenceFile
from deploykit.reporting.html import html, loadtest_html
from deploykit.reporting.loadtest_report import LoadTestReport, loadtest_markdown, loadtest_report
from deploykit.reporting.markdown import markdown
from deploykit.reporting.report import Report, report
from deploykit.workflows.parity import PARITY
from deploykit.workflows.stores import RunFolder

FOUND = "found.json"
EVIDENCE = "evidence.json"
MADE = ("measurements.json", "comparison.json", "report.json", "report.md", "report.html")
_INPUTS = (
    "plan.json", "target.json", "bundle/manifest.json", "deployment.json", "pricing.json", PARITY, "loadtest.json",
    "loadtest-run.json", "samples.jsonl", FOUND, "trials/*/loadtest-run.json", "trials/*/samples.jsonl",
)  # fmt: skip
_DRAW = ("matplotlib", "jinja2")


class Part(NamedTuple):
    """One file that is made, and the report where it is that."""

    name: str
    text: str
    report: Report | LoadTestReport | None = None


def remade(
    run: RunFolder, loadtest: LoadTestRun, basis: Basis, *, measured: Measurements | None = None
) -> Iterator[Part]:
    """Make every file of a run's report, one after the other; what was `measured` already is not measured again.

    Raises StorageError for a file that is missing or damaged, ComparisonError where there is nothing to price.
    """
    found = read_found(run)
    measured = measured or measure(loadtest)
    if not run.path("plan.json").is_file():
        yield Part("measurements.json", measured.as_json())
        of_address = loadtest_report(
            run=loadtest,
            measurements=measured,
            now=basis.made_at,
            versions=basis.versions,
            commands=(
                f"deploykit loadtest {loadtest.spec.base_url} --replay {basis.run}",
                f"deploykit report {basis.run}",
            ),
            sweep=found.sweep,
            goodput=found.goodput,
            repeated=found.repeated,
        )
        yield Part("report.json", of_address.as_json(), of_address)
        yield Part("report.md", loadtest_markdown(of_address))
        yield Part("report.html", loadtest_html(of_address))
        return
    plan, manifest = run.read("plan.json", Plan), run.read("bundle/manifest.json", Manifest)
    deployment, pricing = run.read("deployment.json", Deployment), run.read("pricing.json", Pricing)
    yield Part("measurements.json", measured.as_json())
    compared = compare_priced(measured, pricing)
    yield Part("comparison.json", compared.as_json())
    inputs = run.read(PARITY, ParityInputs) if run.path(PARITY).is_file() else ParityInputs()
    offers = [offer.offer for offer in compared.offers if offer.compared]
    made = report(
        plan=plan,
        manifest=manifest,
        deployment=deployment,
        run=loadtest,
        measurements=measured,
        comparison=compared,
        decisions=decisions(pricing, served_by(measured, found.repeated)),
        now=basis.made_at,
        versions=basis.versions,
        not_exercised=basis.not_exercised,
        sweep=found.sweep,
        goodput=found.goodput,
        repeated=found.repeated,
        parity=parity(inputs, service_of(basis.run, measured), offers),
        published=inputs.published,
    )
    yield Part("report.json", made.as_json(), made)
    yield Part("report.md", markdown(made))
    yield Part("report.html", html(made))


def read_found(run: RunFolder) -> Found:
    """Read what a sweep, a search or repeated runs said; nothing where it was none."""
    return run.read(FOUND, Found) if run.path(FOUND).is_file() else Found()


def drawn_by() -> dict[str, str]:
    """Return the libraries whose version shows in the page's bytes, as they are here."""
    return {name: version(name) for name in _DRAW}


def evidence_names(run: RunFolder) -> dict[str, str]:
    """Return the files of a run that its report is made from (`input`), and those that are made (`made`)."""
    names = {name: "input" for pattern in _INPUTS for name in run.find(pattern)}
    if "bundle/manifest.json" in names:
        listed = run.read("bundle/manifest.json", Manifest).files
        names |= {name: "input" for file in listed for name in run.find(f"bundle/{file.path}")}
    return names | {name: "made" for name in MADE if run.find(name)}


def save_evidence(run: RunFolder, basis: Basis) -> None:
    """Write which files a report was made from, and which were made, with their digests."""
    files = []
    for name, kind in sorted(evidence_names(run).items()):
        digest = run.digest(name)
        assert digest is not None  # noqa: S101 - it was found just now
        files.append(EvidenceFile.model_validate({"path": name, "kind": kind, **digest.as_data()}))
    run.write(EVIDENCE, Evidence(basis=basis, drawn_by=drawn_by(), files=tuple(files)))
