"""One mistake in a file, one error with its line, its key and what was probably meant."""

from decimal import Decimal

import pytest

from deploykit.catalog.patterns import WORDS
from deploykit.catalog.price import ApiPrice
from deploykit.catalog.schemas import SCHEMAS
from deploykit.catalog.validation import validate_yaml
from deploykit.catalog.weights_lock import WeightsLock
from deploykit.catalog.workload import Workload
from deploykit.catalog.yaml_text import parse_yaml
from deploykit.errors import CatalogError
from deploykit.intent import Intent

WORKLOAD = """\
title: A workload
source: a test
as_of: 2026-01-01
prompt_tokens: {kind: fixed, tokens: 5}
output_tokens:
  kind: uniform
  low: 1
  high: 2
warmup_s: 1
stages:
  - kind: closed
    users: 3
    duration_s: 2
slo: {share: 0.9}
ignore_eos: false
temperature: 0
"""

PRICE = """\
title: An offer
provider: Somebody
api_model: m
serves: null
periods:
  - start: 2026-01-01
    usd_per_m: {input: 0.1, cached_input: 0.0028, output: 1e-1}
    source: a test
    as_of: 2026-01-01
"""


def check(text: str, model=Workload, **injected):
    return validate_yaml(parse_yaml(text, file="w.yaml"), model, **({"name": "w"} | injected))


def mistake(old: str, new: str) -> CatalogError:
    assert WORKLOAD.count(old) == 1
    with pytest.raises(CatalogError) as caught:
        check(WORKLOAD.replace(old, new))
    return caught.value


def test_a_good_file_is_its_model_with_the_name_from_outside() -> None:
    workload = check(WORKLOAD)
    assert (workload.name, workload.stages[0].users) == ("w", 3)


def test_money_is_the_decimal_that_was_written() -> None:
    usd = check(PRICE, ApiPrice).periods[0].usd_per_m
    assert (usd.input, usd.cached_input, usd.output) == (Decimal("0.1"), Decimal("0.0028"), Decimal("0.1"))
    assert str(usd.cached_input) == "0.0028"


@pytest.mark.parametrize(
    ("old", "new", "what", "line", "key", "hint"),
    [
        ("temperature:", "temprature:", "unknown key `temprature`", 16, "temprature", "did you mean `temperature`?"),
        (
            "users:",
            "usrs:",
            "unknown key `stages[0].usrs`",
            12,
            "stages[0].usrs",
            "did you mean `users` or `to_users`?",
        ),
        ("low: 1", "lo: 1", "unknown key `output_tokens.lo`", 7, "output_tokens.lo", "did you mean `low`?"),
        ("{share:", "{zzz:", "unknown key `slo.zzz`", 14, "slo.zzz", "known keys here: e2e_s, share, tpot_s, ttft_s"),
        ("warmup_s: 1\n", "", "`warmup_s` is missing", 1, "warmup_s", None),
        ("    users: 3\n", "", "`stages[0].users` is missing", 11, "stages[0].users", None),
        ("users: 3", "users: no", "`stages[0].users`: should be a valid integer", 12, "stages[0].users", None),
        (
            "users: 3",
            "users: 0",
            "`stages[0].users`: should be greater than 0, but it is 0",
            12,
            "stages[0].users",
            None,
        ),
        ("{share: 0.9}", "5", "`slo` must be `key: value` lines, but is a number", 14, "slo", None),
        ("kind: closed", "kind: shut", "`stages[0]` is of no known kind: `shut` is not", 11, "stages[0]", None),
        ("  - kind: closed\n    users", "  - users", "`stages[0]` does not say its `kind`", 11, "stages[0]", None),
        ("low: 1", "low: 9", "`output_tokens`: low (9) is above high (2)", 5, "output_tokens", None),
        ("2026-01-01", "yesterday", "`as_of`: should be a valid date", 3, "as_of", None),
    ],
)
def test_mistakes_name_their_line_and_key(old, new, what, line, key, hint) -> None:
    error = mistake(old, new)
    assert error.what.startswith(what)
    assert (error.where.file, error.where.line, error.where.key) == ("w.yaml", line, key)
    assert error.hint == hint


def test_other_mistakes_are_told_beside_the_first() -> None:
    error = mistake("users: 3", "usrs: -3")
    assert error.what == "unknown key `stages[0].usrs`"
    assert error.detail == "line 11: `stages[0].users` is missing"


def test_many_mistakes_are_counted() -> None:
    keys = "".join(f"zz{n}: 1\n" for n in range(8))
    with pytest.raises(CatalogError) as caught:
        check(WORKLOAD + keys)
    assert caught.value.detail.splitlines()[-1] == "and 2 more"


def test_the_whole_message_reads_as_one() -> None:
    assert str(mistake("temperature:", "temprature:")) == (
        "error: unknown key `temprature`\n"
        " --> w.yaml:16, `temprature`\n"
        "\n"
        "  | line 1: `temperature` is missing\n"
        "\n"
        "hint: did you mean `temperature`?"
    )


def test_a_long_value_is_cut() -> None:
    error = mistake("ignore_eos: false", f"ignore_eos: {'x' * 500}")
    assert len(error.what) < 200


def test_a_name_in_the_file_may_only_repeat_the_files_own() -> None:
    assert check("name: w\n" + WORKLOAD).name == "w"
    with pytest.raises(CatalogError, match="`name` is `other`, but here it must be `w`") as caught:
        check("name: other\n" + WORKLOAD)
    assert caught.value.where.line == 1


def test_a_rule_between_keys_is_told_where_they_stand() -> None:
    window = "    peak_windows: [{days: [mon], start: 10:00, end: 12:00}]\n"
    with pytest.raises(CatalogError, match="go together") as caught:
        check(PRICE + window, ApiPrice)
    assert (caught.value.where.line, caught.value.where.key) == (6, "periods[0]")


def patterns_in(node) -> set[str]:
    if isinstance(node, dict):
        here = {node["pattern"]} if isinstance(node.get("pattern"), str) else set()
        return here.union(*(patterns_in(inner) for inner in node.values()))
    return set().union(*(patterns_in(inner) for inner in node)) if isinstance(node, list) else set()


@pytest.mark.parametrize("model", [Intent, WeightsLock, *SCHEMAS.values()], ids=lambda model: model.__name__)
def test_every_pattern_has_its_words(model) -> None:
    own = {pattern for pattern in patterns_in(model.model_json_schema()) if "(?!^[-+.]*$)" not in pattern}  # decimals
    assert own <= WORDS.keys()


@pytest.mark.parametrize(
    ("section", "says"),
    [
        ("container: {image: vllm}", "`container.image` must be an image with its registry and a digest or tag, in lower case, such as "),
        ("gateway: {domain: 'http://x'}", "`gateway.domain` must be a public name such as `llm.example.com`, without `https://`"),
        ("gateway: {tls: on}", "`gateway.tls` must be `off`, `internal`, or the files of your own certificate: `{certificate_file: "),
        ("gateway: {tls: true}", "`gateway.tls` must be `off`, `internal`, or the files"),
        ("gateway: {tls: {certificate_file: a}}", "`gateway.tls.key_file` is missing"),
        ("gateway: {tls: {certfile: a}}", "unknown key `gateway.tls.certfile`"),
        ("monitoring: {alertmanagers: [alerts]}", "`monitoring.alertmanagers[0]` must be `HOST:PORT`, such as `alerts.example.com:9093`"),
        ("gateway: {keys: [{name: a, env: sk-x}]}", "`gateway.keys[0].env` must be the name of an environment variable, such as `TEAM_A_KEYS`, and never the key itself"),
        ("gateway: {enabled: false, keys: [{name: a, env: A}]}", "`gateway`: `keys` would do nothing with `enabled: false`"),
        ("gateway: {enabled: false, tls: internal}", "`gateway`: `tls` would do nothing with `enabled: false`"),
        ("monitoring: {prometheus_url: 'http://p:9090'}", "`monitoring`: `prometheus_url` is the data source of `grafana_url`"),
        ("port: 22", "`port`: should be greater than or equal to 1024, but it is 22"),
        ("nodes: 3\nhosts: [{name: a, address: b}]", "`nodes`: it is 3, but `hosts` names 1: leave it away"),
        ("hosts: [{name: a, address: b}, {name: c, address: b}]", "`hosts`: two of them have the address `b`"),
        ("hosts: [{name: a, address: b}, {name: a, address: c}]", "`hosts`: two of them have the name `a`"),
        ("gateway: {port: 22}\nhosts: [{name: a, address: b}]", "`gateway.port` is 22, where SSH of `a` listens"),
        ("hosts: [{name: a, address: b, port: 8001}]", "`port` is 8001, where SSH of `a` listens"),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_told_in_words(section, says) -> None:
    with pytest.raises(CatalogError) as caught:
        validate_yaml(parse_yaml(f"model: m\nnode: n\nengine: e\n{section}\n", file="deploykit.yaml"), Intent)
    assert caught.value.what.startswith(says)
    assert caught.value.where.file == "deploykit.yaml"
    assert caught.value.where.line >= (1 if "SSH" in says else 4)
    assert "pattern" not in str(caught.value)
