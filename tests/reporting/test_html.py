"""The page: golden files with the plots left out, what it must never load, and what it says to a screen reader."""

import re
from collections.abc import Callable
from html.parser import HTMLParser
from xml.etree import ElementTree as ET

import pytest

from deploykit.measuring.measurements import Measurements
from deploykit.reporting.drawing import Plot
from deploykit.reporting.html import html
from deploykit.reporting.plots import plots
from deploykit.reporting.report import Report
from tests.costing.builders import make_hourly
from tests.reporting.builders import CASES, make_plan, make_report, make_samples, measured

VOID = {"meta", "br", "link", "img"}


class Page(HTMLParser):
    """Checks that elements close in order, and collects what a test asks for."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def marked(report: Report) -> tuple[Plot, ...]:
    """Plots as markers: their drawing differs between releases of matplotlib, their words do not."""
    return tuple(plot.model_copy(update={"svg": f"[plot: {plot.name}]"}) for plot in plots(report))


@pytest.mark.parametrize("case", CASES)
def test_golden(case: str, golden: Callable[[str, str], None]) -> None:
    golden(f"{case}.html", html(CASES[case](), draw=marked))


@pytest.mark.parametrize("case", CASES)
def test_the_page_loads_nothing_and_runs_nothing(case: str) -> None:
    text = html(CASES[case]())
    page = Page(text)
    names = {tag for tag, _ in page.tags}
    assert not names & {"script", "link", "img", "iframe", "object", "embed", "base", "form"}
    for _, attributes in page.tags:
        for name, value in attributes.items():
            assert not name.startswith("on")
            if name in ("href", "xlink:href", "src"):
                assert (value or "").startswith("#")
    addresses = set(re.findall(r"https?://[^\s\"'<)]+", text))
    # Two names of XML; the third stands in a server's message, as text.
    assert addresses <= {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink", "https://evil.example"}


def test_headings_tables_and_plots_can_be_read_aloud() -> None:
    page = Page(html(make_report()))
    headings = [tag for tag, _ in page.tags if tag in ("h1", "h2", "h3")]
    assert headings[0] == "h1"
    assert headings.count("h1") == 1
    assert all(attributes.get("scope") in ("col", "row") for tag, attributes in page.tags if tag == "th")
    drawings = [attributes for tag, attributes in page.tags if tag == "svg"]
    assert len(drawings) == 9
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    for drawing in drawings:
        assert drawing["role"] == "img"
        assert set((drawing["aria-labelledby"] or "").split()) <= set(ids)


def test_a_cell_of_numbers_breaks_between_numbers_and_never_before_a_unit() -> None:
    cells = re.findall(r'<td class="r" data-of="([^"]*)">([^<]*)</td>', html(make_report(), draw=marked))
    found = {head: cell for head, cell in cells if head in ("Good", "TTFT p50 / p99")}
    assert found == {"Good": "1,023\u00a0of\u00a01,025", "TTFT p50 / p99": "479\u00a0ms / 1.07\u00a0s"}


def test_on_a_narrow_screen_each_cell_says_its_column() -> None:
    page = Page(html(make_report(), draw=marked))
    assert all("data-of" in attributes for tag, attributes in page.tags if tag == "td")
    assert "content: attr(data-of)" in html(make_report(), draw=marked)


def test_text_that_is_not_ours_is_escaped() -> None:
    page = html(make_report(plan=make_plan(title="<script>alert(1)</script>", model="a`b")), draw=marked)
    assert "<script>" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "503 &lt;b&gt;no @everyone" in page


def test_plots_are_the_same_each_time_and_carry_no_date() -> None:
    first, second = plots(make_report()), plots(make_report())
    assert first == second
    for plot in first:
        root = ET.fromstring(plot.svg)  # noqa: S314 - drawn above
        assert root.tag.endswith("svg")
        assert "metadata" not in plot.svg
        assert "<dc:" not in plot.svg


def test_plots_take_their_colours_from_the_page() -> None:
    for plot in plots(make_report()):
        assert re.findall(r"(?:fill|stroke): (#[0-9a-f]{6})", plot.svg) == []
        assert "var(--first)" in plot.svg


def test_bills_far_apart_are_on_a_logarithmic_scale() -> None:
    near = plots(make_report())[0]
    far = plots(make_report(hourly=(make_hourly("300"),)))[0]
    assert "logarithmic" not in near.title
    assert "logarithmic" in far.title


def test_the_slo_is_drawn_where_it_is_near() -> None:
    drawn = {plot.name: plot for plot in plots(make_report())}
    assert "SLO 2.00 s" in drawn["ttft"].svg
    assert "SLO" not in drawn["itl"].svg
    fast = {plot.name: plot for plot in plots(make_report(samples=make_samples(slow=0.1)))}
    assert "SLO" not in fast["ttft"].svg
    assert "limit 2.00 s" in fast["ttft"].says


def test_what_was_not_measured_has_no_plot() -> None:
    bare = measured(make_samples())
    stages = tuple(stage.model_copy(update={"throughput": ()}) for stage in bare.stages)
    made = make_report(measurements=Measurements.model_validate({**bare.model_dump(), "stages": stages}), curves=())
    assert [plot.name for plot in plots(made)] == ["bills", "breakeven", "staircase", "tornado"]
    assert html(made).count("<svg") == 4
