"""The main job on real parts: real Ansible, real vLLM on CPU, real locust. In the order a user would go."""

import json
import os
import shutil
import signal
import socket
import stat
import time
import urllib.error
import urllib.request
from pathlib import Path

import psutil
import pytest

pytestmark = pytest.mark.rehearsal

KEY = "sk-rehearsal-4711-not-in-any-file"
PLANTED = {"HF_TOKEN": "hf_rehearsal-4712-for-nobody", "DEPLOYKIT_GRAFANA_TOKEN": "glsa_rehearsal-4713-for-nobody"}
"""A rehearsal has no use for them."""


@pytest.fixture(scope="module")
def arrived(user):
    """The first `up`, with an API key that a command prints, from an empty home."""
    vault = user.home / "secrets" / "key"
    vault.parent.mkdir()
    vault.touch(mode=0o600)
    vault.write_text(KEY + "\n")
    user.extra["DEPLOYKIT_API_KEY_COMMAND"] = f"cat '{vault}'"
    user.extra |= PLANTED
    return user.json("up")


def test_up_measures_dollars_next_to_the_api(arrived, user):
    report = arrived["report"]
    assert arrived["changed"]
    assert arrived["measured_now"]
    run = user.work / arrived["run"]
    for name in ("plan.json", "bundle/manifest.json", "deployment.json", "samples.jsonl", "measurements.json", "comparison.json",
                 "report.json", "report.md", "report.html"):  # fmt: skip
        assert (run / name).stat().st_size > 0, name
    first = next(line for line in (run / "report.md").read_text().splitlines() if line and not line.startswith("<!--"))
    assert "stand-in" in first
    assert "price" in first
    assert report["headline"]
    assert "<script" not in (run / "report.html").read_text()


def test_the_real_engine_served_and_its_counters_agree(arrived, user):
    run = user.work / arrived["run"]
    deployment = json.loads((run / "deployment.json").read_text())
    assert deployment["engine_version"] == "0.32.0"
    measured = json.loads((run / "measurements.json").read_text())
    assert measured["verdict"] in {"VALID", "UNCLEAR"}
    assert measured["reconciliation"]["engine"] is not None
    assert measured["reconciliation"]["difference"] <= 0.005
    samples = [json.loads(line) for line in (run / "samples.jsonl").read_text().splitlines()]
    done = [s for s in samples if s["outcome"] == "ok"]
    assert len(done) >= 2, "a busy machine serves few, but it serves"
    assert all(s["intended_s"] <= s["sent_s"] <= s["first_token_s"] <= s["last_token_s"] for s in done)
    assert all(s["output_tokens"] == s["wanted_output_tokens"] for s in done), "ignore_eos gives exact lengths"


def test_the_plan_foresaw_the_kv_cache(arrived, user):
    run = user.work / arrived["run"]
    planned = json.loads((run / "plan.json").read_text())["memory"]["engine"]["kv_tokens"]
    actual = json.loads((run / "deployment.json").read_text())["memory"]["kv_cache_tokens"]
    assert actual is not None
    assert abs(planned - actual) / actual < 0.05, f"planned {planned:,}, the engine has {actual:,}"


def test_only_callers_with_the_key_are_served(arrived, user):
    url = arrived["endpoint"] + "/v1/models"
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(url, timeout=10)
    assert refused.value.code == 401
    refused.value.close()
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {KEY}"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        assert answer.status == 200


def test_the_key_is_in_no_artifact_and_no_process_list(arrived, user):
    for folder in (user.work, user.home):
        for file in folder.rglob("*"):
            if file.is_symlink() or not file.is_file() or "site-packages" in file.parts:
                continue
            content = file.read_bytes()
            assert not [name for name, secret in PLANTED.items() if secret.encode() in content], file
            if KEY.encode() in content:
                assert stat.S_IMODE(file.stat().st_mode) == 0o600, f"{file} holds the key"
                assert "secrets" in str(file), f"{file} holds the key"
    for process in user.processes():
        assert KEY not in " ".join(process.cmdline())
        inherited = process.environ()
        assert not set(PLANTED.values()) & set(inherited.values()), process.cmdline()
        assert {name for name, value in inherited.items() if value == KEY} <= {"VLLM_API_KEY"}, process.cmdline()


def test_status_and_logs(arrived, user):
    status = user.json("status")
    (instance,) = status["instances"]
    assert instance["state"].lower() in {"running", "active"}
    assert status["model"] == json.loads((user.work / arrived["run"] / "plan.json").read_text())["model"]
    logs = user.run("logs", "--lines", "20")
    assert logs.returncode == 0
    assert len(logs.stdout.splitlines()) <= 21
    assert logs.stdout.strip()


def test_a_second_up_changes_nothing_and_measures_nothing(arrived, user):
    again = user.json("up")
    assert not again["changed"]
    assert not again["measured_now"]
    assert again["run"] == arrived["run"] or Path(again["run"]).name == Path(arrived["run"]).name
    assert len(list((user.work / "runs").glob("2*"))) == 1


def test_a_report_can_be_made_again_from_its_files(arrived, user):
    before = json.loads((user.work / arrived["run"] / "comparison.json").read_text())
    made = user.json("report")
    after = json.loads((user.work / arrived["run"] / "comparison.json").read_text())
    assert made
    assert after == before


def test_a_port_in_use_is_one_clear_error(arrived, user):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        ran = user.run("up", "--port", str(port))
    assert ran.returncode == 6, ran.stderr
    assert str(port) in ran.stderr
    assert str(os.getpid()) in ran.stderr
    assert "Traceback" not in ran.stderr
    assert user.json("status")["instances"], "the engine that served still serves"


def test_an_up_beside_an_up_is_refused_with_the_holder(arrived, user):
    first = user.start("up", "--again")
    try:
        lock = user.home / ".local/share/deploykit/deployments/rehearsal/lock.json"
        deadline = time.monotonic() + 30
        while not lock.exists():
            assert time.monotonic() < deadline
            time.sleep(0.05)
        second = user.run("up")
        assert second.returncode == 9
        assert str(first.pid) in second.stderr
    finally:
        first.send_signal(signal.SIGINT)
        _out, err = first.communicate(timeout=120)
    assert first.returncode == 130, err


def engine_of(user):
    (instance,) = user.json("status")["instances"]
    return instance


def test_an_engine_that_dies_under_load_is_an_error_with_its_last_words(arrived, user):
    victim = engine_of(user)["pid"]
    started = user.start("up", "--again")
    samples = None
    deadline = time.monotonic() + 600
    while not (samples and samples.stat().st_size):
        assert started.poll() is None, started.communicate()[1]
        assert time.monotonic() < deadline
        new = [p for p in (user.work / "runs").glob("2*") if p.name != Path(arrived["run"]).name]
        # each of the generator's processes writes its own; they are joined at the end
        samples = next((p / "samples-0.jsonl" for p in new if (p / "samples-0.jsonl").exists()), None)
        time.sleep(0.1)
    os.kill(victim, signal.SIGKILL)
    _out, err = started.communicate(timeout=900)
    assert started.returncode == 7, err
    assert "the engine ended during the load test: engine-0" in err
    assert "POST /v1/chat/completions" in err, "the last lines of its log"
    assert json.loads((samples.parent / "loadtest-run.json").read_text())["engine_ended"]
    assert json.loads((samples.parent / "measurements.json").read_text())["verdict"] == "INVALID"


def test_an_engine_that_lost_its_supervisor_is_replaced(arrived, user):
    deadline = time.monotonic() + 600
    while engine_of(user)["health"] != "ok":  # it was started again just now
        assert time.monotonic() < deadline
    orphan = engine_of(user)["pid"]
    (supervisor,) = user.processes("supervisord")
    supervisor.kill()
    supervisor.wait(10)
    assert engine_of(user)["state"] == "orphaned"
    ran = user.run("up", "--no-measure")
    assert ran.returncode == 0, ran.stderr
    now = engine_of(user)
    assert (now["state"], now["health"]) == ("running", "ok")
    assert now["pid"] != orphan
    assert not psutil.pid_exists(orphan)


def test_an_up_that_is_killed_outright_leaves_no_ansible_and_no_folder(arrived, user):
    started = user.start("up", "--again")
    while "Check system" not in started.stderr.readline():
        assert started.poll() is None
    left = user.processes("ansible-playbook")
    assert left
    started.kill()
    started.communicate()
    _gone, alive = psutil.wait_procs(left, timeout=20)
    assert not alive
    assert not user.processes("ansible")


def test_down_leaves_nothing_running(arrived, user):
    assert user.run("down").returncode == 0
    assert user.processes() == []
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", user.port)) != 0, "something still listens"


def test_ctrl_c_while_the_engine_starts_leaves_nothing_and_the_next_up_goes_on(arrived, user):
    started = user.start("up")
    try:
        deadline = time.monotonic() + 600
        while not user.processes("vllm"):
            assert started.poll() is None, started.communicate()[1]
            assert time.monotonic() < deadline
            time.sleep(0.2)
    finally:
        started.send_signal(signal.SIGINT)
        _out, err = started.communicate(timeout=180)
    assert started.returncode == 130, err
    assert "Traceback" not in err
    assert user.processes() == []
    again = user.json("up", "--no-measure")
    assert again["changed"]
    shutil.rmtree(user.home / ".local/share/deploykit")  # and with it the record
    assert user.run("down").returncode == 0
    assert user.processes() == []
