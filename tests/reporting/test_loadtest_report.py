"""The report of a load test alone: golden files, its first line, and that it needs no plan and no price."""

from collections.abc import Callable

from deploykit.measuring.measure import measure
from deploykit.reporting.drawing import Plot
from deploykit.reporting.html import loadtest_html
from deploykit.reporting.load_plots import load_plots
from deploykit.reporting.loadtest_report import LoadTestReport, loadtest_markdown, loadtest_report, loadtest_summary
from tests.reporting.builders import STARTED, make_run, make_samples
from tests.reporting.searches import make_goodput, make_repeated, make_sweep


def make(**changes: object) -> LoadTestReport:
    run = make_run(make_samples())
    made = loadtest_report(
        run=run, measurements=measure(run), now=STARTED, versions={"deploykit": "0.1.0"},
        commands=("deploykit loadtest http://127.0.0.1:8001 --workload chat",),
        sweep=make_sweep(), goodput=make_goodput(), repeated=make_repeated(),
    )  # fmt: skip
    return made.model_copy(update=changes)


def marked(report: LoadTestReport) -> tuple[Plot, ...]:
    """Plots as markers: their drawing differs between releases of matplotlib, their words do not."""
    return tuple(plot.model_copy(update={"svg": f"[plot: {plot.name}]"}) for plot in load_plots(report))


def test_golden(golden: Callable[[str, str], None]) -> None:
    golden("loadtest.md", loadtest_markdown(make()))
    golden("loadtest.txt", loadtest_summary(make()) + "\n")
    golden("loadtest.html", loadtest_html(make(), draw=marked))


def test_the_verdict_is_the_first_word_in_every_form() -> None:
    made = make()
    assert made.headline.startswith("Load test VALID: 719 output tokens/s, TTFT p99 1.07 s at 24 users")
    assert loadtest_summary(made).splitlines()[0] == made.headline
    assert loadtest_markdown(made).startswith("### Load test VALID")
    assert f"<h1>{made.headline}</h1>" in loadtest_html(made, draw=marked)


def test_its_file_alone_makes_the_same_pages_again() -> None:
    made = make()
    again = LoadTestReport.model_validate_json(made.as_json())
    assert again == made
    assert loadtest_html(again) == loadtest_html(made)
    assert len(made.as_json()) < 100_000


def test_without_searches_there_is_nothing_of_them() -> None:
    text = loadtest_markdown(make(sweep=None, goodput=None, repeated=None))
    assert not any(word in text for word in ("Sweep", "Goodput", "Repeated"))


def test_text_that_is_not_ours_is_escaped() -> None:
    page = loadtest_html(make(subject="<script>alert(1)</script>"), draw=marked)
    assert "<script>" not in page
    assert "503 &lt;b&gt;no @everyone" in page
    assert "@everyone" not in loadtest_markdown(make())
