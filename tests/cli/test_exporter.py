"""The live meter as a process, over engines that are processes too: they come, go, and begin anew."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import closing
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from deploykit.deploying.record import DeploymentRecord
from deploykit.effects.records import Records
from deploykit.effects.run_store import RunStore
from tests.reporting.builders import make_deployment, make_rehearsal_plan

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 60


def free_port() -> int:
    with closing(socket.create_server(("127.0.0.1", 0))) as probe:
        return probe.getsockname()[1]


def listens(port: int) -> bool:
    with closing(socket.socket()) as caller:
        return caller.connect_ex(("127.0.0.1", port)) == 0


def eventually(what, condition):
    """Wait until a condition holds, and return what it returned."""
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        if found := condition():
            return found
        time.sleep(0.1)
    pytest.fail(f"never: {what}")


class Engine:
    """A stand-in's counters, and its process."""

    def __init__(self, folder: Path, key: str | None = None):
        self.port, self.file, self.key, self.process = free_port(), folder / "counters", key, None
        self.url = f"http://127.0.0.1:{self.port}"

    def count(self, prompt: int, cached: int, output: int) -> None:
        new = self.file.with_suffix(".new")
        new.write_text(f"{prompt} {cached} {output}")
        new.replace(self.file)

    def start(self) -> None:
        script = str(Path(__file__).with_name("metrics_process.py"))
        environment = {"KEY": self.key} if self.key else {}
        self.process = subprocess.Popen([sys.executable, script, str(self.port), str(self.file)], env=environment)
        eventually("the stand-in listens", lambda: listens(self.port))

    def stop(self) -> None:
        if self.process:
            self.process.kill()
            self.process.wait()


class Meter:
    """`deploykit exporter` as a process."""

    def __init__(self, folder: Path):
        self.folder, self.port, self.process = folder, free_port(), None

    @property
    def state(self) -> Path:
        return self.folder / "data" / "meters" / f"port-{self.port}" / "meter.json"

    def start(self, *args: str, **environment: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "deploykit", "exporter", "--port", str(self.port), "--interval", "1", *args],
            cwd=self.folder,
            env={
                "PATH": os.environ["PATH"],
                "PYTHONPATH": str(ROOT),
                "DEPLOYKIT_DATA_DIR": str(self.folder / "data"),
                "HOME": str(self.folder),
                **environment,
            },
            stderr=subprocess.PIPE,
            text=True,
        )

    def end(self, number: int = signal.SIGTERM) -> tuple[int, str]:
        """Send a signal; return the exit code and what was said."""
        self.process.send_signal(number)
        _, said = self.process.communicate(timeout=PATIENCE_S)
        return self.process.returncode, said

    def series(self) -> dict[tuple[str, ...], float]:
        """Return every value by name and labels' values in the order of the labels' names; nothing while nobody answers."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics") as answer:
                text = answer.read().decode()
        except OSError:
            return {}
        return {
            (s.name.removeprefix("deploykit_meter_"), *(value for _, value in sorted(s.labels.items()))): s.value
            for family in text_string_to_metric_families(text)
            for s in family.samples
        }

    def until(self, *key: str, holds):
        """Return all series once one of them is there and as it should be."""
        return eventually(key, lambda: (s := self.series()) and key in s and holds(s[key]) and s)


@pytest.fixture
def engine(tmp_path):
    made = Engine(tmp_path)
    made.count(1000, 0, 100)
    made.start()
    yield made
    made.stop()


@pytest.fixture
def meter(tmp_path):
    made = Meter(tmp_path)
    yield made
    if made.process and made.process.poll() is None:
        made.process.kill()
        made.process.communicate()


def test_tokens_dollars_and_the_apis_price(engine, meter):
    meter.start(
        "--engine", engine.url, "--usd-per-hour", "16", "--offer", "openai-gpt-5.4", "--capacity", "1000"
    )  # fmt: skip
    meter.until("engine_up", engine.url, holds=lambda up: up == 1)
    engine.count(1900, 300, 200)
    seen = meter.until("tokens_total", "output", holds=lambda count: count == 100)
    assert (seen["tokens_total", "fresh_input"], seen["tokens_total", "cached_input"]) == (600, 300)
    assert seen["usd_per_hour",] == 16
    covered = seen["window_covered_seconds", "5m"]
    assert 0 < covered < 300
    assert seen["usd_per_million_tokens", "5m"] == pytest.approx(16 * covered / 3600 / 1000 * 1e6)
    assert seen["utilisation_ratio", "5m"] == pytest.approx(1000 / covered / 1000)
    usd_per_m = seen["api_usd_per_million_tokens", "same", "openai-gpt-5.4", "24h"]
    assert usd_per_m == pytest.approx(seen["api_usd_total", "same", "openai-gpt-5.4"] / 1000 * 1e6)
    assert seen["api_usd_total", "none", "openai-gpt-5.4"] > seen["api_usd_total", "same", "openai-gpt-5.4"] > 0
    assert seen["break_even_factor", "openai-gpt-5.4", "1h"] == pytest.approx(
        16 / seen["api_usd_per_hour", "same", "openai-gpt-5.4", "1h"]
    )
    assert meter.end() == (
        0,
        f"metering {engine.url} at http://127.0.0.1:{meter.port}/metrics; Ctrl-C ends it\n{engine.url} answers\n",
    )


def test_an_engine_that_goes_and_begins_anew(engine, meter):
    meter.start("--engine", engine.url)
    meter.until("engine_up", engine.url, holds=lambda up: up == 1)
    engine.stop()
    gone = meter.until("engine_up", engine.url, holds=lambda up: up == 0)
    assert not [key for key in gone if key[0].startswith(("usd_", "api_", "utilisation", "break_even"))]
    engine.count(50, 0, 5)
    engine.start()
    back = meter.until("engine_resets_total", engine.url, holds=lambda resets: resets == 1)
    assert (back["tokens_total", "fresh_input"], back["tokens_total", "output"]) == (50, 5)
    code, said = meter.end(signal.SIGINT)
    assert code == 0
    assert "what an hour costs is not known" in said
    assert f"{engine.url} does not answer" in said


def test_what_it_knows_outlives_it_and_damage_is_one_line(engine, meter):
    meter.start("--engine", engine.url, "--usd-per-hour", "16")
    meter.until("engine_up", engine.url, holds=lambda up: up == 1)
    assert meter.end()[0] == 0
    engine.count(1500, 0, 150)
    meter.start("--engine", engine.url, "--usd-per-hour", "16")
    meter.until("tokens_total", "output", holds=lambda count: count == 50)
    assert meter.end()[0] == 0
    assert json.loads(meter.state.read_text())["tokens"]["fresh_input"] == 500
    meter.state.write_text('{"format": "deploykit/meter/1", "tokens": ')
    meter.start("--engine", engine.url, "--usd-per-hour", "16")
    meter.until("tokens_total", "output", holds=lambda count: count == 0)
    code, said = meter.end()
    assert code == 0
    assert said.count("the meter begins anew: meter.json is damaged") == 1
    assert "Traceback" not in said


def test_a_key_that_something_in_front_of_the_engine_asks_for(meter, tmp_path):
    guarded = Engine(tmp_path, key="sk-secret")
    guarded.count(0, 0, 0)
    guarded.start()
    try:
        meter.start("--engine", guarded.url, DEPLOYKIT_API_KEY="sk-secret")
        meter.until("engine_up", guarded.url, holds=lambda up: up == 1)
        assert "sk-secret" not in meter.state.read_text()
        assert "sk-secret" not in meter.end()[1]
    finally:
        guarded.stop()


def make_deployment_of(engine, folder: Path, **variables) -> None:
    """A rehearsal's record and run folder, as `up` leaves them, with the stand-in as its engine."""
    run = RunStore(folder / "runs" / "one")
    names = {"model": "deepseek-v4-flash", "node": "local", "stand_in": "mla-moe"}
    run.write("plan.json", make_rehearsal_plan().model_copy(update=names))
    run.write("deployment.json", make_deployment(endpoint=engine.url))
    record = DeploymentRecord(
        name="rehearsal", model="deepseek-v4-flash", node="local", rehearsal=True, release="r", run=str(run.directory),
        inventory="i", variables=variables,
    )  # fmt: skip
    Records(folder / "data").save(record)


def test_a_deployment_brings_engine_rate_and_offers(engine, meter, tmp_path):
    make_deployment_of(engine, tmp_path)
    meter.start("--deployment", "rehearsal")
    meter.until("engine_up", engine.url, holds=lambda up: up == 1)
    engine.count(1900, 0, 200)
    seen = meter.until("tokens_total", "output", holds=lambda count: count == 100)
    assert seen["usd_per_hour",] == 1
    assert seen["about_info", "rehearsal", "stand-in", "true"] == 1
    assert ("api_usd_total", "same", "baseten-deepseek-v4-flash") in seen
    assert not [key for key in seen if "deepseek-v4-flash" in key], "a retired offer is not compared with"
    assert not [key for key in seen if key[0] == "utilisation_ratio"], "nothing was measured"
    again = Meter(tmp_path)
    again.start("--deployment", "rehearsal")
    _, said = again.process.communicate(timeout=PATIENCE_S)
    assert again.process.returncode == 9
    assert "another deploykit is at work here: `deploykit exporter`" in said
    assert meter.end()[0] == 0


def test_a_gateway_hides_the_engines(engine, tmp_path, run):
    make_deployment_of(engine, tmp_path, gateway_enabled=True)
    ran = run("exporter", "--deployment", "rehearsal")
    assert ran.code == 2
    assert "hides its engines' counters" in ran.err
    assert "--engine" in ran.err


def test_one_meter_at_a_port(engine, meter, tmp_path):
    with socket.create_server(("127.0.0.1", meter.port)):
        meter.start("--engine", engine.url)
        _, said = meter.process.communicate(timeout=PATIENCE_S)
    assert meter.process.returncode == 2
    assert f"the meter cannot be served on 127.0.0.1, port {meter.port}: Address already in use" in said
    assert "Traceback" not in said


@pytest.mark.parametrize(
    ("args", "says"),
    [
        ((), "nothing to meter"),
        (("--engine", "ftp://x"), "not an http or https address"),
        (("--engine", "http://u:p@x"), "the address is not an http or https address"),
        (("--engine", "http://x", "--usd-per-hour", "-1"), "not an amount above 0"),
        (("--engine", "http://x", "--usd-per-hour", "1e999"), "not an amount above 0"),
        (("--engine", "http://x", "--usd-per-hour", "16", "--rate", "owned"), "exclude each other"),
        (("--engine", "http://x", "--rate", "owned"), "of a deployment's node"),
        (("--engine", "http://x", "--capacity", "0"), "--capacity is not above 0"),
    ],
)
def test_wrong_arguments_are_one_error(run, args, says):
    ran = run("exporter", *args)
    assert ran.code == 2
    assert says in ran.err


def test_a_name_that_is_not_there(run):
    assert run("exporter", "--deployment", "nowhere").code == 3
    assert run("exporter", "--engine", "http://x", "--offer", "nowhere").code == 3
