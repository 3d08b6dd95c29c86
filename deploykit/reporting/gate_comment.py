"""What the gate said -> one comment of a pull request: the verdict first, a small table, details folded.

Names and texts of runs may be anybody's: none of them can break out of its place, link, or mention somebody.
"""

import re
import shlex

from deploykit.caveat import Weight
from deploykit.gating.judged import Judged
from deploykit.gating.sentences import show_change, show_pairs, show_signed
from deploykit.gating.verdict import Gate
from deploykit.reporting import words
from deploykit.reporting.content import Section, Table, code
from deploykit.reporting.markdown import COMMENT_LIMIT
from deploykit.reporting.table import escape, folded, inline, table
from deploykit.units import show_usd

_ROOM = 400
"""Left for the lines after the details."""
_LONGEST, _MOST_CAVEATS, _MOST_CHANGES, _MOST_METRICS, _MOST_COSTS = 240, 12, 8, 5, 10


def marker(gate: Gate) -> str:
    """Return the hidden line by which the comment about a target is found again, to be edited."""
    slug = re.sub(r"-{2,}", "-", re.sub(r"[^A-Za-z0-9.]+", "-", gate.target))[:100].strip("-.")
    return f"<!-- deploykit:loadtest:{slug} -->"


def gate_comment(gate: Gate, *, quiet: bool = False) -> str:
    """Return the comment, always shorter than a comment may be; `quiet` makes it one line where nothing changed."""
    gate = gate.model_copy(update={"metrics": tuple(map(_clipped, gate.metrics[:_MOST_METRICS]))})
    if quiet and gate.outcome == "SAME":
        told = "; ".join(f"{one.title} {show_change(one)}" for one in gate.metrics)
        return f"{marker(gate)}\n{inline(f'deploykit load test: {_clip(gate.says)} {told}')}\n"
    text = "\n\n".join(part for part in _visible(gate) if part)
    left_out = []
    for section in _details(gate):
        part = f"\n\n{folded(section)}"
        if section.empty:
            continue
        if len(text) + len(part) + _ROOM > COMMENT_LIMIT:
            left_out.append(section.title)
        else:
            text += part
    if left_out:
        text += f"\n\nLeft out, to fit a comment: {', '.join(left_out)}."
    return f"{text}\n\n<sub>{_margins(gate)} Updated in place.</sub>\n"


def _visible(gate: Gate) -> tuple[str, ...]:
    heavy = [caveat for caveat in gate.caveats if caveat.weight is not Weight.NOTE]
    caveats = [f"- **{c.weight.capitalize()}:** {inline(_clip(c.says))}" for c in heavy[:_MOST_CAVEATS]]
    if len(heavy) > _MOST_CAVEATS:
        caveats.append(f"- and {len(heavy) - _MOST_CAVEATS} more")
    rehearsal = (
        "Rehearsal: hardware and weights are stand-ins; it shows what the engine's settings do here, and no price."
    )
    return (
        marker(gate),
        _without_formulas(f"### deploykit load test: {escape(_clip(gate.says))}"),
        rehearsal if gate.rehearsal else "",
        inline(_subject(gate)),
        table(_table(gate)),
        _without_formulas(inline(f"Head's last run, against an API: {_clip(gate.bills, 500)}")) if gate.bills else "",
        _costs(gate),
        "\n".join(caveats),
        "\n".join(_changes(gate)),
    )


def _costs(gate: Gate) -> str:
    """Return what the head's tokens cost, here and at APIs; nothing where nothing is priced."""
    if not gate.costs:
        return ""
    rows = tuple(
        (
            code(_clip(line.what, 100)),
            show_usd(line.usd_per_m),
            "none good" if line.usd_per_1k_good is None else show_usd(line.usd_per_1k_good),
            _clip(line.note, 100),
        )
        for line in gate.costs[:_MOST_COSTS]
    )
    says = f"**Cost of this mix**, by head's last run ({inline(_clip(gate.mix or 'mix unknown'))}):"
    told = table(Table(header=("", "per million tokens", "per 1,000 good requests", ""), rows=rows, align="lrrl"))
    return _without_formulas(f"{says}\n\n{told}")


def _subject(gate: Gate) -> str:
    pairs = len(gate.base.runs)
    return (
        f"{code(_clip(gate.of['model']))} on {code(_clip(gate.of['node']))}, workload {code(_clip(gate.of['workload']))}, "
        f"{code(_clip(gate.head.name))} against {code(_clip(gate.base.name))}, {pairs} {'pair' if pairs == 1 else 'pairs'} "
        f"of runs in the order {code(_clip(gate.order.says, 60))}, {gate.outcome}."
    )


def _table(gate: Gate) -> Table:
    rows = tuple(
        (
            one.title + (f" ({one.note})" if one.note else ""),
            _value(one, one.base_mean),
            _value(one, one.head_mean),
            _interval(one),
            _verdict(one),
        )
        for one in gate.metrics
    )
    return Table(header=("", "base", "head", "change (95 % interval)", "verdict"), rows=rows, align="lrrrl")


def _value(one: Judged, value: float | None) -> str:
    if value is None:
        return "unknown"
    if one.scale == "difference":
        return words.share(value)
    if one.key.startswith(("ttft", "tpot")):
        return words.seconds(value)
    return f"{value:,.3g}" if one.key == "usd_per_m" else words.number(value)


def _interval(one: Judged) -> str:
    if one.low is None or one.high is None:
        return "unknown"
    return f"{show_change(one)} ({show_signed(one.low)} to {show_signed(one.high)})"


def _verdict(one: Judged) -> str:
    if one.outcome != "UNCLEAR":
        return f"{one.outcome} (margin {100 * one.margin:g} {'points' if one.scale == 'difference' else '%'})"
    return f"UNCLEAR, {show_pairs(one.more_pairs)}" if one.more_pairs else "UNCLEAR"


def _changes(gate: Gate) -> list[str]:
    if gate.same_release:
        return ["Nothing differs between base and head: this is an A/A test."]
    lines = [
        f"- {inline(f'{code(_clip(c.what))}: {code(_clip(c.base, 120))} to {code(_clip(c.head, 120))}')}"
        for c in gate.changed[:_MOST_CHANGES]
    ]
    more = len(gate.changed) - _MOST_CHANGES
    return ["What differs:", "", *lines, *([f"- and {more} more"] if more > 0 else [])]


def _details(gate: Gate) -> tuple[Section, ...]:
    arms = ("base", gate.base), ("head", gate.head)
    runs = tuple(
        (name, code(_clip(run)), code(_clip(digest or "none", 64)))
        for name, arm in arms
        for run, digest in zip(arm.runs, arm.evidence_sha256, strict=True)
    )
    each = tuple(
        (one.title, side, "; ".join(_value(one, value) for value in values))
        for one in gate.metrics
        for side, values in (("base", one.base), ("head", one.head))
    )
    notes = tuple(_clip(caveat.says) for caveat in gate.caveats if caveat.weight is Weight.NOTE)
    # Whoever pastes it runs it: a name of a run is one word, whatever it holds.
    base, head = (shlex.quote(" ".join(",".join(arm.runs).split())) for _, arm in arms)
    return (
        Section(
            title="Each run", tables=(Table(header=("", "", "in the order of the pairs"), rows=each, align="lll"),)
        ),
        Section(title="How it was judged", says=(*_how(gate), *notes)),
        Section(
            title="Runs and their evidence", tables=(Table(header=("", "run", "SHA-256"), rows=runs, align="lll"),)
        ),
        Section(
            title="Everything that differs",
            tables=(
                Table(
                    header=("", "base", "head"),
                    rows=tuple((code(c.what), code(c.base), code(c.head)) for c in gate.changed),
                    align="lll",
                ),
            )
            if len(gate.changed) > _MOST_CHANGES
            else (),
        ),
        Section(title="Reproduce", commands=(f"deploykit gate --base {base} --head {head}",)),
    )


def _how(gate: Gate) -> tuple[str, ...]:
    floors = "; ".join(
        f"{one.title} {100 * one.noise_floor:.2g} {'points' if one.scale == 'difference' else '%'}"
        for one in gate.metrics
        if one.noise_floor is not None
    )
    return (
        *(f"{one.title}: {one.because}." for one in gate.metrics),
        "Intervals are Student's over the pairs, on a logarithmic scale for all but shares.",
        "REGRESSED and IMPROVED lie beyond the margin after Holm's correction; SAME lies within it; the rest is UNCLEAR.",
        *((f"Noise floor of {gate.noise_pairs} A/A pairs: {floors}.",) if floors else ()),
    )


def _margins(gate: Gate) -> str:
    told = ", ".join(
        f"{escape(one.title)} {100 * one.margin:g} {'points' if one.scale == 'difference' else '%'}"
        for one in gate.metrics
    )
    return f"Margins: {told}."


def _without_formulas(markdown: str) -> str:
    """Return Markdown in which what lies between two dollars is no formula, as GitHub would have it."""
    return markdown.replace("$", "&#36;")


def _clipped(one: Judged) -> Judged:
    texts = {name: _clip(getattr(one, name), 100) for name in ("key", "title", "note", "because")}
    return one.model_copy(update=texts)


def _clip(text: str, longest: int = _LONGEST) -> str:
    plain = " ".join(text.split())
    return plain if len(plain) <= longest else f"{plain[:longest]}..."
