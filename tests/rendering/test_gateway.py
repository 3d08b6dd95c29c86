"""The gateway's configuration as text. What it does is asked of a running HAProxy in test_gateway_live.py."""

from typing import Any

import pytest

from deploykit.rendering.gateway import haproxy_cfg
from deploykit.rendering.layout import Instance
from deploykit.rendering.options import CallerLimits, GatewayOptions
from tests.rendering.gateway_rig import ROUTES


def engine(port: int = 8001, name: str = "engine-0", rank: int = 0, node: int = 0) -> Instance:
    return Instance(name=name, node_index=node, host=f"10.0.0.{node + 1}", port=port, listen="127.0.0.1", rank=rank)


def rules(*engines: Instance, **options: Any) -> str:
    chosen = GatewayOptions(**({"enabled": True, "key_required": True} | options))
    return haproxy_cfg(engines or (engine(),), chosen, model="big-moe", routes=ROUTES)


def lines(text: str, beginning: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip().startswith(beginning)]


def test_without_a_key_required_nobody_is_asked_for_one() -> None:
    assert "status 401" in rules()
    assert "status 401" not in rules(key_required=False)


def test_headless_ranks_get_no_requests() -> None:
    text = rules(engine(), engine(rank=1, name="rank-1", node=1))
    assert lines(text, "server ") == ["server engine-0 127.0.0.1:8001"]


def test_engines_of_other_nodes_are_asked_by_address() -> None:
    sixth = engine(node=1, name="engine-2").model_copy(update={"host": "fd00::2"})
    text = rules(engine(), engine(node=1, name="engine-1"), sixth)
    assert [line.split()[-1] for line in lines(text, "server ")] == [
        "127.0.0.1:8001",
        "10.0.0.2:8001",
        "[fd00::2]:8001",
    ]


def test_tls_speaks_http_2_and_plain_http_has_no_certificate() -> None:
    (bind,) = [line for line in lines(rules(tls="internal", port=443), "bind") if "443" in line]
    assert bind == "bind :::443 v4v6 ssl crt tls.pem alpn h2,http/1.1"
    assert "tls.pem" not in rules()


def test_metrics_and_the_runtime_socket_are_this_machine_s_alone() -> None:
    binds = lines(rules(), "bind") + lines(rules(), "stats socket")
    assert binds[1].startswith("bind 127.0.0.1:")
    assert "mode 600" in binds[2]
    assert len(binds) == 3


def test_limits_stand_for_the_callers_that_have_them() -> None:
    text = rules(callers=(CallerLimits(name="a", requests_per_minute=7), CallerLimits(name="b", concurrent=3)))
    rate, together = lines(text, "http-request deny status 429")
    assert rate.endswith("hdr Retry-After 9 if { var(txn.caller) -m str a } { sc0_gpc0_rate ge 7 }")
    assert together.endswith("hdr Retry-After 1 if { var(txn.caller) -m str b } { sc0_conn_cur gt 3 }")


def test_a_model_s_name_cannot_leave_its_place() -> None:
    chosen = GatewayOptions(enabled=True, key_required=True)
    text = haproxy_cfg((engine(),), chosen, model='it\'s $HOME "x"', routes=ROUTES)
    (probe,) = [line for line in lines(text, "http-check send") if "completions" in line]
    assert r"it's \$HOME \\\"x\\\"" in probe


@pytest.mark.parametrize("name", ["example", "a b.org", "-x.org", "http://a.org", "a.org:80", "a.org\n"])
def test_a_domain_is_a_name_alone(name: str) -> None:
    with pytest.raises(ValueError, match="domain"):
        GatewayOptions(enabled=True, key_required=True, domain=name)


@pytest.mark.parametrize("name", ["", "Team", "a b", "a}", "a\n", "-a", "a'"])
def test_a_caller_s_name_cannot_leave_its_place(name: str) -> None:
    with pytest.raises(ValueError, match="name"):
        CallerLimits(name=name)


def test_a_caller_stands_once() -> None:
    with pytest.raises(ValueError, match="twice"):
        GatewayOptions(enabled=True, key_required=True, callers=(CallerLimits(name="a"), CallerLimits(name="a")))
