"""The comment in a pull request: golden files, room, and text that is not ours."""

import re
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deploykit.caveat import Caveat, Weight
from deploykit.measuring.measurements import Quantiles
from deploykit.reporting import words
from deploykit.reporting.content import Table, code
from deploykit.reporting.markdown import COMMENT_LIMIT, markdown, marker, summary
from deploykit.reporting.table import inline, table
from tests.reporting.builders import CASES, make_plan, make_report


@pytest.mark.parametrize("case", CASES)
def test_golden(case: str, golden: Callable[[str, str], None]) -> None:
    golden(f"{case}.md", markdown(CASES[case]()))


@pytest.mark.parametrize("case", CASES)
def test_golden_summary(case: str, golden: Callable[[str, str], None]) -> None:
    golden(f"{case}.txt", summary(CASES[case]()) + "\n")


def test_the_verdict_comes_first_and_the_marker_is_hidden() -> None:
    lines = markdown(make_report()).splitlines()
    assert lines[0].startswith("### The API is cheaper")
    assert lines[2] == "<!-- deploykit:report:mixtress:t9000-8x -->"


def test_a_marker_cannot_be_closed_by_a_name() -> None:
    assert marker(make_report(plan=make_plan(model="a-->b <x>"))) == "<!-- deploykit:report:a-b-x-:t9000-8x -->"


def test_it_fits_a_comment_whatever_it_is_given() -> None:
    # Far more caveats and commands than a run has, in characters that escape to five each.
    doubts = tuple(Caveat(code=f"c{i}", weight=Weight.DOUBT, says=f"{i} " + "*" * 100) for i in range(200))
    made = make_report(caveats=doubts, commands=("deploykit " + "x" * 60_000,))
    text = markdown(made)
    assert len(text) <= COMMENT_LIMIT
    assert "and 160 more in report.html" in text
    assert "Left out, to fit a comment (it is in report.html): Reproduce." in text


@pytest.mark.parametrize("case", CASES)
def test_every_table_has_a_cell_for_each_column(case: str) -> None:
    bars = []
    for line in markdown(CASES[case]()).splitlines():
        if line.startswith("|"):
            bars.append(line.count("|"))
        else:
            assert len(set(bars)) <= 1
            bars = []


def test_text_of_a_server_neither_links_nor_mentions_nor_breaks_out() -> None:
    text = markdown(make_report())
    (line,) = [line for line in text.splitlines() if "evil" in line]
    assert line.count("|") == 4
    assert "<b>" not in line
    assert "@" not in line
    assert "://" not in line
    assert "<code>503 &#60;b&#62;no &#64;everyone" in line


@settings(deadline=None)  # the machine may be busy with other tests
@given(st.text())
def test_no_text_leaves_its_cell(text: str) -> None:
    row = table(Table(header=("a",), rows=((text,), (code(text),)), align="l"))
    assert len(row.splitlines()) == 4
    for line in row.splitlines()[2:]:
        assert line.count("|") == 2
        assert set(re.findall(r"<[^>]*>", line)) <= {"<code>", "</code>"}
        assert "`" not in line


def test_code_is_code_and_the_rest_is_plain() -> None:
    assert inline("the *flag* `max_num_seqs` of `a|b`.") == (
        "the &#42;flag&#42; <code>max&#95;num&#95;seqs</code> of <code>a&#124;b</code>."
    )


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "unknown"),
        (0.0004, "0.4 ms"),
        (0.0195, "19.5 ms"),
        (0.9994, "999 ms"),
        (0.9996, "1.00 s"),
        (1.0, "1.00 s"),
        (75.04, "75.0 s"),
    ],
)
def test_seconds(value: float | None, text: str) -> None:
    assert words.seconds(value) == text


def test_quantiles_that_are_not_known_say_why() -> None:
    def make(count: int, **known: float) -> Quantiles:
        return Quantiles(count=count, **{**dict.fromkeys(("mean", "p50", "p90", "p95", "p99", "max")), **known})

    assert words.middle_and_tail(make(0)) == "unknown"
    assert words.middle_and_tail(make(500)) == "withheld"
    assert words.middle_and_tail(make(9, max=2.0)) == "too few"
    assert words.middle_and_tail(make(70, p50=1.0, p90=2.0, max=3.0)) == "1.00 s / 2.00 s (p90)"
    assert words.middle_and_tail(make(700, p50=1.0, p90=2.0, p99=2.5, max=3.0)) == "1.00 s / 2.50 s"


def test_unknown_is_said() -> None:
    text = markdown(CASES["rehearsal"]())
    assert "| KV tokens the engine reports | unknown |" in text
    assert "revision unknown" in text
