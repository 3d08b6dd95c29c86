"""A running HAProxy with the rendered configuration, asked over HTTP. No time is asserted, only order and number."""

import http.client
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from deploykit.rendering.gateway import BODY_LIMIT
from deploykit.rendering.options import CallerLimits
from tests.rendering.gateway_rig import (
    ENGINE_KEY,
    KEYS,
    PATIENCE_S,
    Answer,
    Engine,
    Gateway,
    eventually,
    running,
    write_files,
)

LIMITED = (
    CallerLimits(name="team-a", requests_per_minute=3),
    CallerLimits(name="team-b", concurrent=1),
)
IMPATIENT = {"timeout client 2m": "timeout client 500ms", "wait-for-body time 30s": "wait-for-body time 500ms"}


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with running(tmp_path_factory.mktemp("gateway"), engines=2) as started:
        yield started


@pytest.mark.parametrize("path", ["/v1/models", "/v1/chat/completions?x=1", "/v1/completions"])
def test_what_is_allowed_reaches_an_engine(gateway: Gateway, path: str) -> None:
    answer = gateway.ask(path)
    assert answer.status == 200
    assert answer.data["path"] == path


@pytest.mark.parametrize(
    "path",
    ["/metrics", "/tokenize", "/detokenize", "/docs", "/openapi.json", "/version", "/load", "/ping", "/invocations",
     "/inference/v1/generate", "/server_info", "/sleep", "/collective_rpc", "/", "/v1", "/v1x/models", "/healthx",
     "/v1/load_lora_adapter", "/v1/../metrics", "/v1/models/../../metrics", "/v1/%2e%2e/metrics", "//v1/models",
     "/v1/models/", "/V1/models", "/%761/models"],
)  # fmt: skip
def test_everything_else_is_not_there(gateway: Gateway, path: str) -> None:
    for method in ("GET", "POST"):
        answer = gateway.ask(path, method=method)
        assert answer.status == 404
        assert answer.data["error"]["type"] == "not_found_error"


@pytest.mark.parametrize(("path", "method"), [("/v1/models", "POST"), ("/v1/completions", "GET"), ("/health", "POST")])
def test_a_path_has_its_method(gateway: Gateway, path: str, method: str) -> None:
    answer = gateway.ask(path, method=method)
    assert answer.status == 405
    assert method not in answer.headers["allow"]


@pytest.mark.parametrize("key", [None, "", "wrong", "a-key", "a-key*X", "*", " ", "default", "A-KEY*"])
def test_a_wrong_or_missing_key_is_refused(gateway: Gateway, key: str | None) -> None:
    answer = gateway.ask(key=key)
    assert answer.status == 401
    assert set(answer.data["error"]) == {"message", "type", "param", "code"}
    assert answer.headers["www-authenticate"] == "Bearer"


def test_several_keys_of_a_caller_are_good_at_once(gateway: Gateway) -> None:
    assert [gateway.ask(key=key).status for key in ("old-key", "new-key", "b-key")] == [200, 200, 200]


def test_the_hash_of_a_key_is_no_key(gateway: Gateway) -> None:
    stolen = (gateway.folder / "keys.map").read_text().split()[0]
    assert gateway.ask(key=stolen).status == 401


def test_engines_get_their_own_key_and_never_a_caller_s(gateway: Gateway) -> None:
    gateway.ask(key="new-key")
    got = [headers for engine in gateway.engines for headers in engine.seen]
    assert {headers["authorization"] for headers in got} == {f"Bearer {ENGINE_KEY}"}
    assert {sent for engine in gateway.engines for sent, _ in engine.probes} == {f"Bearer {ENGINE_KEY}"}


def test_a_request_s_line_names_the_caller_and_holds_neither_key_nor_body(gateway: Gateway) -> None:
    answer = gateway.ask("/v1/completions?api_key=in-the-query", key="new-key", body={"prompt": "a secret prompt"})
    name = answer.headers["x-request-id"]
    eventually(lambda: any(line["request"] == name for line in gateway.requests()), "the request's line")
    (line,) = [line for line in gateway.requests() if line["request"] == name]
    assert (line["caller"], line["path"], line["status"]) == ("team-a", "/v1/completions", 200)
    for hidden in ("secret prompt", "in-the-query", ENGINE_KEY, *(key for own in KEYS.values() for key in own)):
        assert hidden not in gateway.log


def test_a_hostile_path_stays_inside_its_field(gateway: Gateway) -> None:
    answer = gateway.ask('/v1/x","status":200,"y":"', method="GET")
    name = answer.headers["x-request-id"]
    eventually(lambda: any(line["request"] == name for line in gateway.requests()), "the request's line")
    (line,) = [line for line in gateway.requests() if line["request"] == name]
    assert line["status"] == 404


def test_each_event_of_a_stream_passes_at_once(gateway: Gateway) -> None:
    """The engine sends an event only after the one before has been read: a buffer in between would wait for ever."""
    connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=PATIENCE_S)
    connection.request("POST", "/v1/completions", body='{"chunks": 5}', headers={"Authorization": "Bearer a-key*"})
    answer = connection.getresponse()
    read = []
    for _ in range(5):
        read.append(answer.readline())
        answer.readline()
        for engine in gateway.engines:
            engine.arrived.release()
    connection.close()
    assert read == [b"data: %d\n" % number for number in range(5)]


@pytest.mark.parametrize("length", [BODY_LIMIT + 1, 10**15])
def test_a_body_that_is_too_large_is_refused_before_it_is_read(gateway: Gateway, length: int) -> None:
    head = (
        f"POST /v1/completions HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer a-key*\r\nContent-Length: {length}\r\n\r\n"
    )
    answer = raw(gateway.port, head.encode())
    assert answer.startswith(b"HTTP/1.1 413 ")


@pytest.mark.parametrize("extra", ["", "Transfer-Encoding: chunked\r\n"])
def test_a_body_of_unknown_length_is_refused(gateway: Gateway, extra: str) -> None:
    head = (
        f"POST /v1/completions HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer a-key*\r\nConnection: close\r\n{extra}\r\n"
    )
    assert raw(gateway.port, head.encode()).startswith(b"HTTP/1.1 411 ")


def test_a_body_within_the_limit_arrives_whole(gateway: Gateway) -> None:
    assert gateway.ask(body={"prompt": "x" * 3_000_000}).status == 200


def test_what_is_no_http_is_refused(gateway: Gateway) -> None:
    assert raw(gateway.port, b"GET /v1/models HTTP/1.1\r\nbad header\r\n\r\n").startswith(b"HTTP/1.1 400 ")


def raw(port: int, sent: bytes) -> bytes:
    """Send bytes and return all that comes until the gateway closes."""
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S) as client:
        client.sendall(sent)
        return b"".join(iter(lambda: client.recv(65536), b""))


def test_metrics_are_on_loopback_and_not_at_the_public_port(gateway: Gateway) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", gateway.metrics_port, timeout=PATIENCE_S)
    connection.request("GET", "/metrics")
    assert b"haproxy_backend_http_responses_total" in connection.getresponse().read()
    connection.close()
    assert gateway.ask("/metrics", method="GET").status == 404
    with pytest.raises(OSError, match=r"refused|unreachable"):
        socket.create_connection((own_address(), gateway.metrics_port), timeout=PATIENCE_S)


def own_address() -> str:
    """An address of this machine that is not 127.0.0.1, where the public port answers too."""
    return "127.0.0.2"


def held_one_by_one(gateway: Gateway, pool: ThreadPoolExecutor, count: int) -> list[Future[Answer]]:
    """Ask for answers that are held; each when the gateway counts those before, as its threads choose at the same time."""
    eventually(lambda: gateway.under_way() == 0, "the end of the requests before")
    asked = []
    for number in range(1, count + 1):
        asked.append(pool.submit(gateway.ask, body={"hold": True}))
        eventually(lambda number=number: gateway.under_way() == number, f"{number} requests under way")
    return asked


def test_requests_go_to_the_engine_that_has_fewest(gateway: Gateway) -> None:
    with ThreadPoolExecutor(4) as pool:
        asked = held_one_by_one(gateway, pool, 4)
        for engine in gateway.engines:
            for _ in range(2):
                assert engine.held.acquire(timeout=PATIENCE_S), "the engines do not have two requests each"
        for engine in gateway.engines:
            engine.go.set()
        assert [one.result().status for one in asked] == [200] * 4
    for engine in gateway.engines:
        engine.go.clear()


def test_a_caller_that_goes_away_frees_its_place_in_the_engine(gateway: Gateway) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=PATIENCE_S)
    connection.request("POST", "/v1/completions", body='{"hold": true}', headers={"Authorization": "Bearer a-key*"})
    eventually(lambda: any(engine.held.acquire(blocking=False) for engine in gateway.engines), "the request")
    connection.close()
    eventually(
        lambda: any(engine.abandoned.acquire(blocking=False) for engine in gateway.engines), "the engine's notice"
    )


def test_limits_of_a_caller(tmp_path) -> None:
    with running(tmp_path, callers=LIMITED) as gateway:
        # The two keys of a caller have one limit together, and what was refused does not count.
        answers = [gateway.ask(key=key) for key in ("old-key", "new-key", "old-key", "old-key", "new-key")]
        assert [answer.status for answer in answers] == [200, 200, 200, 429, 429]
        assert answers[-1].data["error"]["code"] == "rate_limit_exceeded"
        assert answers[-1].headers["retry-after"] == "20"
        assert gateway.ask().status == 200, "another caller pays for team-a"

        engine = gateway.engines[0]
        with ThreadPoolExecutor(1) as pool:
            first = pool.submit(gateway.ask, key="b-key", body={"hold": True})
            assert engine.held.acquire(timeout=PATIENCE_S)
            second = gateway.ask(key="b-key")
            assert (second.status, second.data["error"]["code"]) == (429, "concurrency_limit_exceeded")
            assert second.headers["retry-after"] == "1"
            engine.go.set()
            assert first.result().status == 200
        assert gateway.ask(key="b-key").status == 200


def test_sessions_stay_with_their_engine(tmp_path) -> None:
    """One request after the other: an engine that still has one has more than its share, and the next goes elsewhere."""
    with running(tmp_path, engines=3, session_header="X-Session-Id") as gateway:

        def engine_of(session: str) -> str:
            eventually(lambda: gateway.under_way() == 0, "the end of the request before, as the gateway counts")
            return str(gateway.ask(headers={"X-Session-Id": session}).data["engine"])

        asked = {name: {engine_of(name) for _ in range(5)} for name in "abcdefghij"}
        assert all(len(engines) == 1 for engines in asked.values()), asked
        assert len({engine for engines in asked.values() for engine in engines}) > 1


def test_long_silence_and_slow_callers(tmp_path) -> None:
    """An engine may think longer than a caller may dawdle; a caller that sends or reads nothing is cut off."""
    with running(tmp_path, replaced=IMPATIENT) as gateway:
        engine = gateway.engines[0]
        head = (
            b"POST /v1/completions HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer a-key*\r\nContent-Length: 100\r\n\r\n{"
        )
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(gateway.ask, body={"hold": True})
            assert engine.held.acquire(timeout=PATIENCE_S)
            # Each of these takes as long as a caller may be silent.
            assert [raw(gateway.port, head)[:13] for _ in range(3)] == [b"HTTP/1.1 408 "] * 3
            engine.go.set()
            assert waiting.result().status == 200
        assert len(engine.seen) == 1, "a request without its body reached the engine"


def test_an_engine_that_ends_is_replaced_by_the_other_and_without_any_there_is_an_error(tmp_path) -> None:
    with running(tmp_path, engines=2) as gateway:
        first, second = gateway.engines
        first.stop()
        assert {gateway.ask().data["engine"] for _ in range(20)} == {second.name}
        second.stop()
        eventually(lambda: not gateway.up(), "that both engines are gone")
        answer = gateway.ask()
        assert (answer.status, answer.data["error"]["type"]) == (503, "server_error")
        assert "retry-after" in answer.headers
        assert gateway.ask("/health", key=None).status == 503


def test_an_engine_that_is_healthy_and_does_not_serve_gets_no_requests(tmp_path) -> None:
    with running(tmp_path, engines=2, replaced={"downinter 5s": "downinter 1s"}) as gateway:
        broken, good = gateway.engines
        broken.broken = True
        eventually(lambda: gateway.up() == {good.name}, "that the broken engine is found")
        assert {gateway.ask().data["engine"] for _ in range(10)} == {good.name}
        broken.broken = False
        eventually(lambda: len(gateway.up()) == 2, "that it is taken back")
        good.dead = True
        eventually(lambda: gateway.up() == {broken.name}, "that one whose /health says so is left out")


def test_an_error_of_the_engine_reaches_the_caller_as_it_is(gateway: Gateway) -> None:
    assert gateway.ask(body={"status": 500}).status == 500
    assert gateway.ask(body={"status": 400}).status == 400
    assert len(gateway.up()) == 2


def test_a_drained_engine_ends_what_it_has_and_gets_nothing_new(tmp_path) -> None:
    with running(tmp_path, engines=2) as gateway:
        with ThreadPoolExecutor(2) as pool:
            asked = held_one_by_one(gateway, pool, 2)
            for engine in gateway.engines:
                assert engine.held.acquire(timeout=PATIENCE_S)
            drained, other = gateway.engines
            gateway.admin(f"set server engines/{drained.name} state drain")
            assert {gateway.ask().data["engine"] for _ in range(20)} == {other.name}
            for engine in gateway.engines:
                engine.go.set()
            assert {one.result().data["engine"] for one in asked} == {drained.name, other.name}
        gateway.admin(f"set server engines/{drained.name} state ready")
        eventually(lambda: gateway.ask().data["engine"] == drained.name, "that it is used again")


def test_the_router_chooses_while_all_engines_are_in_service_and_the_gateway_where_one_is_not(tmp_path) -> None:
    router = Engine("router")
    with running(tmp_path, engines=2, router=f"127.0.0.1:{router.server_port}") as gateway:
        first, second = gateway.engines
        eventually(lambda: gateway.up() == {first.name, second.name, "router"}, "that all serve")
        assert {gateway.ask().data["engine"] for _ in range(6)} == {"router"}
        assert {headers["authorization"] for headers in router.seen} == {f"Bearer {ENGINE_KEY}"}
        assert {gateway.ask("/v1/completions").data["engine"] for _ in range(6)} == {first.name, second.name}
        gateway.admin(f"set server engines/{first.name} state drain")
        assert {gateway.ask().data["engine"] for _ in range(6)} == {second.name}, "the router does not know of it"
        gateway.admin(f"set server engines/{first.name} state ready")
        eventually(lambda: gateway.ask().data["engine"] == "router", "that the router chooses again")
        router.stop()
        eventually(lambda: "router" not in gateway.up(), "that the router is gone")
        assert {gateway.ask().data["engine"] for _ in range(6)} == {first.name, second.name}


def test_a_reload_under_load_loses_nothing_and_takes_the_new_keys(tmp_path) -> None:
    with running(tmp_path, engines=2) as gateway:
        stop, refused = threading.Event(), []

        def go_on_asking() -> int:
            asked = 0
            while not stop.is_set():
                asked += 1
                try:
                    status = gateway.ask().status
                except (OSError, http.client.HTTPException) as error:
                    refused.append(repr(error))
                else:
                    refused.extend([] if status == 200 else [str(status)])
            return asked

        with ThreadPoolExecutor(5) as pool:
            held = pool.submit(gateway.ask, body={"hold": True})
            try:
                eventually(
                    lambda: any(engine.held.acquire(blocking=False) for engine in gateway.engines), "the request"
                )
                callers = [pool.submit(go_on_asking) for _ in range(4)]
                for number in range(5):
                    write_files(gateway.folder, {"default": ("a-key*",), "team-a": (f"key-{number}",)})
                    gateway.reload()
                    eventually(
                        lambda now=f"key-{number}": gateway.ask(key=now).status == 200, "that the new key is good"
                    )
                assert gateway.ask(key="old-key").status == 401
            finally:
                stop.set()
                for engine in gateway.engines:
                    engine.go.set()
            asked = sum(one.result() for one in callers)
            assert held.result().status == 200, "a request that was open was cut off"
        assert refused == []
        assert asked > 20


def test_with_an_empty_file_of_keys_nobody_gets_in(tmp_path) -> None:
    with running(tmp_path) as gateway:
        write_files(gateway.folder, {})
        gateway.reload()
        eventually(lambda: gateway.ask().status == 401, "that the key is gone")
