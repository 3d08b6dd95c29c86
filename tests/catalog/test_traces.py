"""Traces: what each format's lines mean, what is wrong with a line, and what of a trace is replayed."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploykit.catalog.stages import TraceReplay, describe
from deploykit.catalog.traces import LEAD_S, TraceRecord, parse_trace, read_schedule, replayed
from deploykit.errors import CatalogError

# the first lines of the published files
MOONCAKE = (
    '{"timestamp": 0, "input_length": 655, "output_length": 52, "hash_ids": [46, 47]}\n'
    '{"timestamp": 10535, "input_length": 672, "output_length": 26, "hash_ids": [46, 48]}\n'
    '{"timestamp": 27482, "input_length": 655, "output_length": 52, "hash_ids": [46, 47]}\n'
)
AZURE = (
    "TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:17:03.9799600,4808,10\n2023-11-16 18:17:04.0319600,3180,8\n"
)
BURSTGPT = (
    "Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type\n"
    "5,ChatGPT,472,18,490,Conversation log\n"
    "45,ChatGPT,1087,0,1087,Conversation log\n"
    "118,GPT-4,417,276,693,API log\n"
)


def parse(text: str, as_format=None, block_tokens: int = 512):
    return parse_trace(text.split("\n"), file="t", as_format=as_format, block_tokens=block_tokens)


def stage_of(**changes) -> TraceReplay:
    return TraceReplay(**{"file": "folder/t.jsonl", "duration_s": 1000} | changes)


def replay(records, **changes):
    stage, text = replayed(
        records, stage_of(**changes), trace_format="mooncake", sha256="0" * 64, file="folder/t.jsonl"
    )
    return stage, read_schedule(text)


def test_mooncake_has_milliseconds_and_blocks() -> None:
    found, records = parse(MOONCAKE)
    assert found == "mooncake"
    assert records[0] == TraceRecord(0.0, 655, 52, (46, 47))
    assert [record.at_s for record in records] == [0, 10.535, 27.482]


def test_azure_has_dates_and_burstgpt_seconds() -> None:
    found, (first, second) = parse(AZURE)
    assert (found, first.prompt_tokens, first.output_tokens, first.blocks) == ("azure", 4808, 10, ())
    assert second.at_s - first.at_s == pytest.approx(0.052, abs=1e-6)
    found, records = parse(BURSTGPT)
    assert found == "burstgpt"
    assert [(r.at_s, r.prompt_tokens, r.output_tokens) for r in records] == [
        (5, 472, 18),
        (45, 1087, 0),
        (118, 417, 276),
    ]


def test_columns_are_found_by_their_names_and_dates_may_have_a_zone() -> None:
    more = "﻿Log Type,Response tokens,Session ID,Request tokens,Timestamp\r\nAPI log,7,x,9,1.5\r\n"
    assert parse(more)[1] == (TraceRecord(1.5, 9, 7),)
    zoned = (
        "TIMESTAMP,ContextTokens,GeneratedTokens\n2024-05-10 00:00:00.009930+00:00,1,2\n2024-05-10 02:00:00+02:00,1,2\n"
    )
    assert [r.at_s for r in parse(zoned)[1]] == [1715299200.0, 1715299200.00993]


def test_requests_are_sorted_by_time_and_those_of_one_time_stay_in_order() -> None:
    text = "".join(
        json.dumps({"timestamp": at, "input_length": n, "output_length": 1}) + "\n"
        for n, at in ((1, 20), (2, 10), (3, 10))
    )
    assert [record.prompt_tokens for record in parse(text)[1]] == [2, 3, 1]


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("", None, "no request in the trace"),
        ("TIMESTAMP,ContextTokens,GeneratedTokens\n", None, "only its header"),
        ("when,what\n1,2\n", 1, "of no trace that is known"),
        ("\n\n" + MOONCAKE + "{broken\n", 6, "not JSON"),
        ("{}\n", 1, "`timestamp` is not a time: it is missing"),
        ('{"timestamp": "NaN", "input_length": 1, "output_length": 1}', 1, "`timestamp` is not a time: 'NaN'"),
        ('{"timestamp": true, "input_length": 1, "output_length": 1}', 1, "`timestamp` is not a time"),
        ('{"timestamp": 1, "input_length": -1, "output_length": 1}', 1, "`input_length` is not a number of tokens: -1"),
        ('{"timestamp": 1, "input_length": 1.5, "output_length": 1}', 1, "`input_length` is not a number of tokens"),
        ('{"timestamp": 1, "input_length": 5, "output_length": 1, "hash_ids": ["a"]}', 1, "`hash_ids`"),
        (
            '{"timestamp": 1, "input_length": 512, "output_length": 1, "hash_ids": [1, 2]}',
            1,
            "too many for blocks of 512",
        ),
        (AZURE + "2023-11-16 18:17:05,1\n", 4, "the line has 2 columns, the header 3"),
        (AZURE + "yesterday,1,2\n", 4, "not a date and time: 'yesterday'"),
        (BURSTGPT + "5,ChatGPT,many,1,1,x\n", 5, "`request tokens` is not a number of tokens: 'many'"),
        (MOONCAKE + "[1]\n", 4, "no JSON object"),
    ],
)
def test_a_wrong_line_is_one_error_with_its_number(text: str, line: int | None, says: str) -> None:
    with pytest.raises(CatalogError) as error:
        parse(text)
    assert says in error.value.what
    assert error.value.where is not None
    assert (error.value.where.file, error.value.where.line) == ("t", line)


def test_a_format_that_is_not_the_files_is_refused() -> None:
    with pytest.raises(CatalogError, match="the first line is azure's, not burstgpt's"):
        parse(AZURE, "burstgpt")
    assert parse(AZURE, "azure")[0] == "azure"


def test_time_is_scaled_and_begins_after_the_lead() -> None:
    stage, requests = replay(parse(MOONCAKE)[1], speed=10)
    assert [request.at_s for request in requests] == pytest.approx([LEAD_S, LEAD_S + 1.0535, LEAD_S + 2.7482])
    assert stage.duration_s == pytest.approx(LEAD_S + 2.7492)
    assert describe(stage) == "3 requests of t.jsonl at 10x speed, open loop"
    assert describe(stage_of()) == "requests of t.jsonl at 1x speed, open loop"


def test_reuse_is_what_the_leading_blocks_of_earlier_requests_hold() -> None:
    _, (first, second, third) = replay(parse(MOONCAKE)[1])
    assert (first.reusable_tokens, second.reusable_tokens, third.reusable_tokens) == (0, 512, 655)


def test_limits_leave_requests_out_and_count_them() -> None:
    records = [TraceRecord(float(n), 100 * (n + 1), 10) for n in range(10)] + [TraceRecord(10.0, 7, 0)]
    stage, requests = replay(records, max_context_tokens=700, duration_s=5.5, max_requests=4)
    assert [request.prompt_tokens for request in requests] == [100, 200, 300, 400]
    facts = stage.facts
    assert facts is not None
    # 710 tokens and more do not fit: prompts of 700 to 1000; of the six that do, four were wanted
    assert (facts.records, facts.requests, facts.too_long, facts.unanswered, facts.beyond) == (11, 4, 4, 1, 2)


def test_nothing_left_is_an_error() -> None:
    with pytest.raises(CatalogError, match="none of 3 requests is left"):
        replay(parse(MOONCAKE)[1], max_context_tokens=100)


records = st.lists(
    st.builds(
        TraceRecord,
        at_s=st.floats(0, 1e6),
        prompt_tokens=st.integers(1, 5000),
        output_tokens=st.integers(1, 100),
        blocks=st.lists(st.integers(0, 6), max_size=1).map(tuple),
    ),
    min_size=1,
    max_size=30,
).map(lambda found: sorted(found, key=lambda record: record.at_s))


@given(records=records, speed=st.floats(0.01, 100), most=st.none() | st.integers(1, 40))
def test_a_schedule_is_in_order_bounded_and_comes_back_as_written(records, speed: float, most: int | None) -> None:
    stage, requests = replay(records, speed=speed, max_requests=most)
    assert [r.at_s for r in requests] == sorted(r.at_s for r in requests)
    assert all(LEAD_S <= r.at_s < stage.duration_s <= 1000 for r in requests)
    assert len(requests) <= (most or len(records))
    assert all(0 <= r.reusable_tokens <= r.prompt_tokens for r in requests)
    assert [r.prompt_tokens for r in requests] == [r.prompt_tokens for r in records[: len(requests)]]
