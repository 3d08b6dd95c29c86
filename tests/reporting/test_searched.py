"""What a report tells of sweeps, searches and repeated runs, and of where the window was and what failed."""

import pytest

from deploykit.measuring.measurements import Interval, Quantiles
from deploykit.reporting import measured as parts
from deploykit.reporting import searched, words
from deploykit.reporting.html import html
from deploykit.reporting.load_plots import load_plots
from deploykit.reporting.markdown import markdown
from deploykit.reporting.report import Report
from deploykit.reporting.table import inline
from tests.reporting.builders import make_report, make_samples, measured
from tests.reporting.searches import make_goodput, make_repeated, make_sweep

ALL = make_report(sweep=make_sweep(), goodput=make_goodput(), repeated=make_repeated())


def test_a_sweep_is_told_with_its_knee_and_drawn() -> None:
    section = searched.sweep(make_sweep())
    rows = section.tables[0].rows
    assert section.tables[0].header[:4] == ("Users", "Output tok/s", "Tokens/s/user", "Tokens/s/GPU")
    assert rows[0][:4] == ("8", "444 (436 to 453)", "55.6", "55.6")  # 60 / 1.08, times 8; over 8 GPUs the same
    (knee,) = [row for row in rows if "knee" in row[-1]]
    # power is 3,600 n / (1 + n/100)^2: 85,663 at 64 users, 88,643 at 128, 72,717 at 256
    assert knee[0] == "128"
    assert "best at SLO" in next(row[-1] for row in rows if row[0] == "64")  # 128 users get 26 tokens/s each
    drawn = {plot.name: plot for plot in load_plots(ALL)}
    assert "(knee)" in drawn["sweep"].svg
    assert "output tokens/s for each GPU" in drawn["sweep"].svg
    assert "red ones missed the SLO" in drawn["sweep"].says


def test_a_sweep_without_gpus_has_no_column_for_them() -> None:
    assert "Tokens/s/GPU" not in searched.sweep(make_sweep(gpus=0)).tables[0].header


def test_the_answer_of_a_search_stands_in_the_open() -> None:
    (says, *_) = searched.answer(ALL)
    assert says.startswith("Goodput: 4.3")
    assert says in markdown(ALL)
    assert says in html(ALL, draw=lambda _: ())
    table = searched.goodput(make_goodput()).tables[0]
    assert len(table.strong) == 1
    assert table.rows[table.strong[0]][-1] == "holds"


@pytest.mark.parametrize(
    ("true", "changes", "says"),
    [
        (100, {}, "Goodput: at least 64/s: the share holds up to 64/s, the most that was offered."),
        (0, {}, "Goodput: none: at 0.25/s, the lowest rate, the share does not hold."),
        (4.4, {"most_trials": 3}, "Goodput: unresolved: no rate that was tried fails for sure."),
    ],
)
def test_what_a_search_could_not_find_is_said(true: float, changes: dict[str, float], says: str) -> None:
    assert searched.goodput_says(make_goodput(true, **changes)) == says


def test_the_mean_of_repeated_runs_stands_in_the_open_with_its_interval() -> None:
    says = searched.answer(ALL)[-1]
    stage = make_repeated().stages[1]  # 24 users: most throughput
    mean = words.number(stage.figure("output_tokens_per_s").mean)
    assert says.startswith(f"3 runs: VALID. At 24 users, closed loop: output tokens/s {mean} (")
    assert "TTFT p50 " in says
    invalid = make_repeated().model_copy(update={"stages": (), "verdict": "INVALID"})
    assert searched.repeated_says(invalid) == "3 runs: INVALID."


def test_repeated_runs_have_a_mean_an_interval_and_each_value() -> None:
    section = parts.repeated(make_repeated())
    assert section.says[0] == "3 runs (VALID, VALID, VALID): VALID."
    rows = {row[0]: row for row in section.tables[1].rows}
    assert rows["TTFT p50"][1].count(" to ") == 1
    assert len(rows["TTFT p50"]) == 5
    assert "First answer token p50" not in rows  # the samples do not tell it


def test_a_report_with_searches_survives_its_file() -> None:
    again = Report.model_validate_json(ALL.as_json())
    assert again == ALL
    assert markdown(again) == markdown(ALL)


def test_the_priced_stage_has_its_intervals_in_the_open() -> None:
    table = parts.intervals(make_report())
    ttft = table.rows[0]
    assert ttft[0] == "TTFT, any token"
    assert ttft[1].startswith("479 ms (")
    assert "Output tokens/s 719 (" in table.caption
    assert "tokens/s for each user 50.4" in table.caption  # 1 / 19.8 ms


def test_a_quantile_among_failures_is_told_as_more_than() -> None:
    some = Quantiles(
        count=200, mean=1.0, p50=1.0, p90=None, p95=None, p99=None, max=2.0, censored=30, beyond={"p90": 12.0, "p95": 600.0},
        intervals={"p50": Interval(low=0.95, high=1.1), "p90": Interval(low=1.9, high=None)},
    )  # fmt: skip
    assert words.quantile_with_interval(some, "p50") == "1.00 s (950 ms to 1.10 s)"
    assert words.quantile_with_interval(some, "p90") == "> 12.0 s"
    assert words.tail(some) == ("p95", "> 600 s")
    open_ended = some.model_copy(update={"p90": 2.0, "beyond": {}})
    assert words.quantile_with_interval(open_ended, "p90") == "2.00 s (1.90 s or more)"


def test_an_interval_says_its_unit_once() -> None:
    some = Quantiles(
        count=700, mean=1.6, p50=1.61, p90=2, p95=2, p99=3, max=4, intervals={"p50": Interval(low=1.52, high=1.7)}
    )
    assert words.quantile_with_interval(some, "p50") == "1.61 s (1.52 to 1.70)"


def test_where_the_window_was_and_how_it_was_found() -> None:
    made = make_report()
    section = next(section for section in parts.sections(made) if section.title == "Steady windows")
    (first, second) = section.tables[0].rows
    assert first[2:4] == ("10.0 s", "MSER-5")
    assert second[1] == f"{measured(make_samples()).stages[1].window_start_s:.1f} to 125.0 s"
    assert "TTFT" in second[4]
    assert "output tokens/s" in second[4]


def test_each_definition_is_printed_with_the_number() -> None:
    text = markdown(make_report())
    for meaning in (*words.MEANINGS, *(says for _, says in words.METRICS.values())):
        assert inline(meaning) in text
    assert "What these mean" in html(make_report(), draw=lambda _: ())
