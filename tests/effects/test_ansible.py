"""The runner against real, tiny playbooks on this machine."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import yaml

from deploykit.deploying.outcome import failure_error
from deploykit.effects.ansible import AnsibleRunner
from deploykit.effects.ansible_events import tasks_by_host
from deploykit.errors import DeploymentError, Interrupted, StorageError

SECRET = "planted-7c1f-secret"


@pytest.fixture
def inventory(tmp_path):
    path = tmp_path / "inventory.yml"
    local = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
    path.write_text(yaml.safe_dump({"nodes": {"hosts": {"localhost": local}}}))
    return path


@pytest.fixture
def play(tmp_path, inventory):
    """Run tasks as a playbook of their own; what was told on the way is in `play.events`."""
    folder = tmp_path / "playbooks"
    folder.mkdir()
    (folder / "ansible.cfg").write_text("[defaults]\nnocolor = true\n")

    def run(*tasks, secrets=None, variables=None, check=False, **options):
        content = [{"name": "Play", "hosts": "nodes", "gather_facts": False, "tasks": list(tasks)}]
        (folder / "site.yml").write_text(yaml.safe_dump(content, sort_keys=False))
        return AnsibleRunner(folder, **options).run(
            "site.yml", inventory=inventory, variables=variables or {}, secrets=secrets or {},
            log_dir=tmp_path / "logs", on_event=run.on_event, check=check,
        )  # fmt: skip

    run.events, run.log = [], tmp_path / "logs" / "ansible.log"
    run.on_event = run.events.append
    return run


def command(text, name="Do it", **more):
    return {"name": name, "ansible.builtin.command": {"argv": ["sh", "-c", text]}, **more}


def test_progress_facts_and_outcomes(play):
    facts = {"name": "Tell", "ansible.builtin.set_stats": {"per_host": True, "data": {"answer": "{{ given }}"}}}
    result = play(command("true", changed_when=True), facts, variables={"given": 42})
    assert result.status == "successful"
    assert result.facts == {"localhost": {"answer": 42}}
    (host,) = result.hosts
    assert (host.host, host.ok, host.changed, host.failed) == ("localhost", 2, 1, 0)
    assert host.changed_tasks == ("Do it",)
    kinds = [event.kind for event in play.events]
    assert kinds == ["play", "task", "started", "changed", "task", "started", "ok"]
    assert play.events[-1].done == 2
    assert all(event.expected is None or event.expected >= event.done for event in play.events)
    assert "TASK [Do it]" in play.log.read_text()


def test_a_failed_task_is_one_readable_error(play):
    result = play(command("for i in $(seq 40); do echo line $i; done; echo broken >&2; exit 3", name="Break"))
    (failure,) = result.failures
    assert (failure.host, failure.task, failure.role) == ("localhost", "Break", None)
    assert len(failure.output.splitlines()) == 15
    assert failure.output.endswith("line 40\nbroken")
    error = failure_error(result)
    assert error.what == "localhost: Break: non-zero return code"
    assert "broken" in error.detail


def test_an_ignored_failure_is_no_failure(play):
    result = play(command("exit 1", ignore_errors=True))
    assert result.status == "successful"
    assert result.failures == ()


def test_check_mode_runs_no_command(play, tmp_path):
    play(command(f"touch {tmp_path}/made"), check=True)
    assert not (tmp_path / "made").exists()


def test_an_unreachable_host_is_asked_by_tcp(play, inventory):
    host = {"ansible_host": "127.0.0.1", "ansible_port": 1, "ansible_python_interpreter": sys.executable}
    inventory.write_text(yaml.safe_dump({"nodes": {"hosts": {"node2": host}}}))
    result = play(command("true"))
    (failure,) = result.failures
    assert failure.unreachable
    assert failure.message.startswith("node2 does not answer on 127.0.0.1:1 (Connection refused)")
    assert result.hosts[0].unreachable


def test_a_playbook_ansible_cannot_read_is_an_error_with_its_words(play):
    with pytest.raises(DeploymentError, match=r"could not run site\.yml") as caught:
        play({"name": "Wrong", "no.such.module": {}})
    assert "no.such.module" in caught.value.detail


def test_ansible_that_is_missing_is_a_sentence(play, monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "executable", str(tmp_path / "bin" / "python"))
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    with pytest.raises(DeploymentError, match="ansible-playbook does not run"):
        play(command("true"))


def processes(word):
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if word in path.read_bytes():
                found.append(path)
        except OSError:
            continue
    return found


def test_cancel_leaves_no_process(play):
    began = time.monotonic()
    with pytest.raises(Interrupted):
        play(command("sleep 87.125"), cancelled=lambda: any(e.kind == "started" for e in play.events))
    assert time.monotonic() - began < 20
    assert not processes(b"87.125")


def test_ctrl_c_is_waited_for_and_leaves_no_process(play):
    def press(event):
        if event.kind == "started":
            threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()

    play.on_event = press
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(Interrupted):
        play(command("sleep 87.25"))
    assert not processes(b"87.25")
    assert signal.getsignal(signal.SIGINT) is before


KILLED = """
import sys
from pathlib import Path
from deploykit.effects.ansible import AnsibleRunner
AnsibleRunner(Path(sys.argv[1])).run(
    "site.yml", inventory=Path(sys.argv[2]), variables={}, secrets={"KEY": "x"}, log_dir=Path(sys.argv[1]),
    on_event=lambda event: print(event.kind, flush=True),
)
"""


def test_ansible_does_not_outlive_a_command_that_is_killed_outright(play, inventory, tmp_path):
    play(command("true"))  # writes the playbook, without what takes long
    site = tmp_path / "playbooks/site.yml"
    site.write_text(site.read_text().replace("- 'true'", "- sleep 87.625"))
    assert "87.625" in site.read_text()
    arguments = [sys.executable, "-c", KILLED, str(site.parent), str(inventory)]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as up:
        while up.stdout.readline() != "started\n":
            assert up.poll() is None
        deadline = time.monotonic() + 20
        while not processes(b"87.625"):
            assert time.monotonic() < deadline
        up.kill()
    while processes(b"87.625") or processes(os.fsencode(site)):
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_a_signal_at_the_very_end_is_not_lost(play):
    def press(event):
        if event.kind == "ok":
            os.kill(os.getpid(), signal.SIGINT)

    play.on_event = press
    with pytest.raises(Interrupted):
        play(command("true", changed_when=False))


def test_a_log_that_cannot_be_written_is_one_error(play, tmp_path):
    (tmp_path / "logs").write_text("a file in the way")
    with pytest.raises(StorageError, match=r"ansible\.log cannot be written"):
        play(command("true"))


def test_a_run_that_takes_too_long_is_ended(play):
    result = play(command("sleep 87.5"), job_timeout_s=3)
    assert result.status == "timeout"
    assert "took too long" in failure_error(result).what
    assert not processes(b"87.5")


def test_a_listener_that_breaks_is_heard(play):
    def broken(event):
        raise RuntimeError("in the listener")

    play.on_event = broken
    with pytest.raises(RuntimeError, match="in the listener"):
        play(command("true"))


def test_secrets_reach_the_task_and_leave_no_trace(play, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", SECRET + "-environment")
    monkeypatch.setenv("UNSUSPICIOUS", SECRET)
    ansible_home = tmp_path / "ansible"
    monkeypatch.setenv("HOME", str(tmp_path))
    seen = tmp_path / "seen"
    given = {
        "name": "Use it",
        "ansible.builtin.command": {"argv": ["sh", "-c", f"printenv KEY | md5sum > {seen}; env > {tmp_path}/env"]},
        "environment": {"KEY": "{{ deploykit_secrets.VLLM_API_KEY }}"},
        "no_log": True,
    }
    watch = command("cat /proc/*/cmdline | tr '\\0' ' '", name="Watch")
    result = play(given, watch, secrets={"VLLM_API_KEY": SECRET})
    assert result.status == "successful"
    assert seen.read_text() != ""
    environment = (tmp_path / "env").read_text()
    assert f"KEY={SECRET}" in environment
    assert "HF_TOKEN" not in environment
    assert "UNSUSPICIOUS" not in environment
    assert os.environ["HF_TOKEN"] == SECRET + "-environment"
    (tmp_path / "env").unlink()
    assert SECRET not in repr(play.events)
    assert SECRET not in result.model_dump_json()
    written = [p for p in [*tmp_path.rglob("*"), *ansible_home.rglob("*")] if p.is_file()]
    assert play.log in written
    assert not [p for p in written if SECRET.encode() in p.read_bytes()]
    assert not list(Path("/dev/shm").glob("deploykit-play-*/secrets.yml"))  # noqa: S108 - where runs are, not a file of ours


def test_the_operator_s_ansible_settings_change_nothing(play, monkeypatch):
    monkeypatch.setenv("ANSIBLE_CHECK_MODE_MARKERS", "true")
    monkeypatch.setenv("ANSIBLE_STRATEGY", "no-such-strategy")
    assert play(command("true")).status == "successful"


def test_a_listing_is_read():
    text = """
playbook: site.yml

  play #1 (nodes): Serve\tTAGS: []
    pattern: ['nodes']
    hosts (2):
      node1
      node2
    tasks:
      engine : Validating arguments against arg spec 'main' - Long text.\tTAGS: [always]
      engine : Start: it : now\tTAGS: []
      Alone\tTAGS: []
"""
    tasks = ("engine : Check the role's variables", "engine : Start: it : now", "Alone")
    assert tasks_by_host(text) == {"node1": tasks, "node2": tasks}


@pytest.mark.parametrize(
    "text", ["{{ lookup('pipe', 'touch FILE') }}", "a\"b'c $(touch FILE) \\ %s", "  spaces  ", "{# no #}"]
)
def test_what_is_given_is_text_and_never_a_template(play, tmp_path, text):
    planted = tmp_path / "planted"
    text = text.replace("FILE", str(planted))
    written = tmp_path / "written"
    copy = {
        "name": "Write it",
        "ansible.builtin.copy": {
            "dest": str(written),
            "mode": "0600",
            "content": "{{ a.b[0] }}|{{ deploykit_secrets.KEY }}|",
        },
    }
    result = play(copy, variables={"a": {"b": [text]}}, secrets={"KEY": text})
    assert result.status == "successful"
    assert written.read_text() == f"{text}|{text}|"
    assert not planted.exists()


def test_text_that_looks_like_a_number_stays_text(tmp_path):
    """An API key of digits, a driver `580`, a Python `3.10`: read back by Ansible's own loader."""
    from ansible.parsing.dataloader import DataLoader

    from deploykit.effects.ansible_room import variables_file

    given = {"key": "0755", "python": "3.10", "needs": [{"version": "580"}], "on": "yes", "odd": "{{ 1 + 1 }}"}
    read = DataLoader().load_from_file(str(variables_file(tmp_path / "vars.yml", given)))
    assert read == given
