"""The dashboard reaches a Grafana over a real socket; the double answers as Grafana's HTTP API is documented to."""

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from deploykit.effects.grafana import Grafana
from deploykit.errors import MonitoringError
from deploykit.paths import shipped

DASHBOARD = shipped("profiles") / "dashboards" / "deploykit.json"
TOKEN = "glsa-test"


@dataclass
class Double:
    """What it was asked, and what it has."""

    url: str = ""
    asked: list[tuple[str, str]] = field(default_factory=list)
    dashboards: dict[str, Any] = field(default_factory=dict)
    sources: dict[str, Any] = field(default_factory=dict)
    answer: tuple[int, str] | None = None
    location: str | None = None

    def take(self, method: str, path: str, body: Any, token: str | None) -> tuple[int, Any]:
        self.asked.append((method, path))
        if self.answer:
            return self.answer
        if token != f"Bearer {TOKEN}":
            return 401, {"message": "Invalid API key"}
        if (method, path) == ("POST", "/api/dashboards/db"):
            uid = body["dashboard"]["uid"]
            if uid in self.dashboards and not body["overwrite"]:
                return 412, {"message": "The dashboard has been changed by someone else"}
            self.dashboards[uid] = body["dashboard"]
            return 200, {"uid": uid, "url": f"/d/{uid}/deploykit", "status": "success"}
        uid = path.rpartition("/")[2]
        if method == "GET":
            return (200, self.sources[uid]) if uid in self.sources else (404, {"message": "Data source not found"})
        if method == "POST":
            self.sources[body["uid"]] = body
        else:
            assert uid in self.sources
            self.sources[uid] = body
        return 200, {"message": "done"}


@pytest.fixture
def double() -> Iterator[Double]:
    made = Double()

    class Handler(BaseHTTPRequestHandler):
        def handle_any(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            status, answer = made.take(
                self.command, self.path, json.loads(body) if body else None, self.headers["Authorization"]
            )
            self.send_response(status)
            if made.location:
                self.send_header("Location", made.location)
            self.end_headers()
            self.wfile.write(answer.encode() if isinstance(answer, str) else json.dumps(answer).encode())

        do_GET = do_POST = do_PUT = handle_any  # noqa: N815 - the names that the server looks for

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    made.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield made
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_the_dashboard_is_put_there_as_it_ships(double: Double) -> None:
    address = Grafana(f"{double.url}/", TOKEN, DASHBOARD).publish("big", prometheus_url=None)
    assert address == f"{double.url}/d/deploykit/deploykit"
    assert double.dashboards["deploykit"] == json.loads(DASHBOARD.read_text())
    assert double.sources == {}


def test_a_second_time_replaces_it(double: Double) -> None:
    grafana = Grafana(double.url, TOKEN, DASHBOARD)
    for _ in range(2):
        grafana.publish("big", prometheus_url="http://10.0.0.1:9090")
    assert len(double.dashboards) == 1
    assert double.sources["deploykit-big"]["url"] == "http://10.0.0.1:9090"
    assert [m for m, path in double.asked if "datasources" in path] == ["GET", "POST", "GET", "PUT"]


def test_a_long_name_keeps_to_grafanas_forty_characters(double: Double) -> None:
    Grafana(double.url, TOKEN, DASHBOARD).publish("n" * 60, prometheus_url="http://10.0.0.1:9090")
    (uid,) = double.sources
    assert len(uid) == 40


def test_a_wrong_token_is_said_and_not_shown(double: Double) -> None:
    with pytest.raises(MonitoringError, match="HTTP 401: Invalid API key") as caught:
        Grafana(double.url, "glsa-wrong", DASHBOARD).publish("big", prometheus_url=None)
    assert "glsa-wrong" not in str(caught.value)
    assert "token" in (caught.value.hint or "")


def test_a_redirect_does_not_carry_the_token_elsewhere(double: Double) -> None:
    double.answer, double.location = (302, ""), f"{double.url}/elsewhere"
    with pytest.raises(MonitoringError, match="HTTP 302"):
        Grafana(double.url, TOKEN, DASHBOARD).publish("big", prometheus_url=None)
    assert double.asked == [("POST", "/api/dashboards/db")]


@pytest.mark.parametrize("answer", [(200, "<html>"), (500, "oops"), (502, '["x"]')])
def test_what_is_no_grafana_is_one_error(double: Double, answer: tuple[int, str]) -> None:
    double.answer = answer
    with pytest.raises(MonitoringError):
        Grafana(double.url, TOKEN, DASHBOARD).publish("big", prometheus_url=None)


def test_nobody_there_is_one_error() -> None:
    with pytest.raises(MonitoringError, match="does not answer"):
        Grafana("http://127.0.0.1:1", TOKEN, DASHBOARD).publish("big", prometheus_url=None)
