"""Secrets that are planted in every place they may come from, and every command that writes: none is found again.

Real Ansible and real locust run; what is not real are the roles, whose place takes a play that looks at what it is
given, and the engine. `tests/end_to_end` and `tests/hosts` look at what the real ones leave behind.
"""

import json
import os
import stat
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml

from deploykit import paths

PLANTED = {
    "default": "sk-planted-default-1a2b",
    "hub": "hf_planted-hub-token-3c4d",
    "grafana": "glsa_planted-grafana-5e6f",
    "by-variable": "sk-planted-by-variable-7a8b",
    "by-file": "sk-planted-by-file-9c0d",
    "by-command": "sk-planted-by-command-1e2f",
}

LOOK = """\
import os, sys
pid, seen = os.getpid(), []
while pid > 1 and len(seen) < 12:
    for name in ("environ", "cmdline"):
        with open(f"/proc/{pid}/{name}", "rb") as file:
            seen.append(file.read().replace(b"\\0", b"\\n"))
    with open(f"/proc/{pid}/stat") as file:
        pid = int(file.read().rpartition(")")[2].split()[1])
    if pid == int(sys.argv[2]):
        break
with open(sys.argv[1], "ab") as file:
    file.write(b"\\n".join(seen))
"""
"""Notes environment and arguments of itself and of all above it, up to the process that is named."""

LOCUST = """\
import os, subprocess, sys
subprocess.run([sys.executable, {look!r}, {seen!r}, {parent!r}], check=True)
raise SystemExit("no load today")
"""


def play(*tasks):
    return [{"name": "Play", "hosts": "nodes", "gather_facts": False, "tasks": list(tasks)}]


def command(name, *words, **more):
    return {"name": name, "ansible.builtin.command": {"argv": list(words)}, "changed_when": True, **more}


@pytest.fixture
def stage(tmp_path, monkeypatch):
    """Playbooks and a locustfile that note what they see, in the place of the shipped ones."""
    folder = tmp_path / "stage"
    (folder / "playbooks").mkdir(parents=True)
    (folder / "loadtests").mkdir()
    (folder / "look.py").write_text(LOOK)
    look = command(
        "Look", sys.executable, str(folder / "look.py"), str(tmp_path / "seen" / "ansible"), str(os.getpid())
    )
    meant = {
        "name": "Place what is meant to hold them",
        "ansible.builtin.copy": {
            "content": "{{ deploykit_secrets | default({}) | to_json }}", "dest": str(tmp_path / "meant"), "mode": "0600",
        },
        "no_log": True,
    }  # fmt: skip
    root = {
        "name": "Hand over the root",
        "ansible.builtin.copy": {"content": "root", "dest": "{{ deploykit_bundle | dirname }}/gateway-ca.pem", "mode": "0644"},
    }  # fmt: skip
    facts = {"name": "Tell", "ansible.builtin.set_stats": {"per_host": True, "data": {"engine_version": "0.32.0"}}}
    broken = command("Break", "sh", "-c", f"echo broken; test ! -e {tmp_path}/break")
    books = {"site": [look, meant, root, broken, facts], "abandon": [look, facts], "logs": [look], "status": [look],
             "teardown": [look], "doctor": [look], "releases": [look]}  # fmt: skip
    for name, tasks in books.items():
        (folder / "playbooks" / f"{name}.yml").write_text(yaml.safe_dump(play(*tasks), sort_keys=False))
    (folder / "playbooks" / "ansible.cfg").write_text("[defaults]\nnocolor = true\n")
    noting = LOCUST.format(
        look=str(folder / "look.py"), seen=str(tmp_path / "seen" / "locust"), parent=str(os.getpid())
    )
    (folder / "loadtests" / "locustfile.py").write_text(noting)
    (tmp_path / "seen").mkdir()
    real = paths.shipped
    monkeypatch.setattr(
        paths, "shipped", lambda name: folder / name if name in {"playbooks", "loadtests"} else real(name)
    )
    return tmp_path


@pytest.fixture
def grafana():
    """A Grafana that repeats the token that it refuses."""
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            asked.append(self.headers["Authorization"])
            body = json.dumps({"message": f"I do not know {asked[-1]}"}).encode()
            self.send_response(401)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", asked
    server.shutdown()
    server.server_close()


@pytest.fixture
def planted(stage, tiny, monkeypatch):
    """Every source of a secret that there is, and what they hold."""
    sources = stage / "sources"
    sources.mkdir()
    for name in ("default", "grafana", "by-file", "by-command"):
        (sources / name).write_text(PLANTED[name] + "\n")
        (sources / name).chmod(0o600)
    monkeypatch.setenv("DEPLOYKIT_API_KEY_COMMAND", f"cat {sources / 'default'}")
    monkeypatch.setenv("DEPLOYKIT_GRAFANA_TOKEN_FILE", str(sources / "grafana"))
    monkeypatch.setenv("HF_TOKEN", PLANTED["hub"])
    monkeypatch.setenv("HARMLESS", PLANTED["by-variable"])
    hosts = {"gpu1": {"ansible_connection": "local", "ansible_python_interpreter": sys.executable, "ansible_host": "127.0.0.1"}}  # fmt: skip
    Path("inventory.yml").write_text(yaml.safe_dump({"nodes": {"hosts": hosts}}))
    callers = [
        {"name": "by-variable", "env": "HARMLESS"}, {"name": "by-file", "file": "../sources/by-file"},
        {"name": "by-command", "command": f"cat {sources / 'by-command'}"},
    ]  # fmt: skip
    model, _flag, node = tiny
    intent = {
        "model": model,
        "node": node,
        "gateway": {"tls": "internal", "keys": callers},
        "cost": {"offers": ["together-gpt-oss-120b"]},
    }
    Path("deploykit.yaml").write_text(yaml.safe_dump(intent))
    return intent


def found_in(text):
    return [name for name, secret in PLANTED.items() if secret.encode() in text]


def test_no_planted_secret_is_found_again(run, planted, stage, grafana):
    url, asked = grafana

    def looked(code, *args):
        ran = run(*args)
        assert ran.code == code, (args, ran.out[-2000:], ran.err[-2000:])
        assert not found_in((ran.out + ran.err).encode()), args
        return ran

    for args in (("config",), ("config", "--json"), ("plan", "--json"), ("render", "--out", "made"), ("up", "--dry-run"), ("lock",)):  # fmt: skip
        looked(0, *args)
    up = ("up", "-i", "inventory.yml")
    assert json.loads(looked(0, *up, "--no-measure", "--json").out)["result"]["changed"]
    meant = json.loads((stage / "meant").read_text())
    assert meant.keys() == {"GATEWAY_KEYS", "HF_TOKEN"}, "hosts get hashes of callers' keys, and no key"
    assert found_in(json.dumps(meant).encode()) == ["hub"]
    (record,) = (stage / "data/deployments").glob("*/record.json")
    assert json.loads(record.read_text())["authority"] == str(record.parent / "gateway-ca.pem")

    looked(7, "loadtest")
    seen = (stage / "seen" / "locust").read_bytes()
    assert f"DEPLOYKIT_API_KEY={PLANTED['default']}".encode() in seen
    assert f"SSL_CERT_FILE={record.parent / 'gateway-ca.pem'}".encode() in seen
    assert found_in(seen) == ["default"]
    (record.parent / "gateway-ca.pem").unlink()
    assert "gateway-ca.pem is gone" in looked(10, "loadtest").err
    for args in (("status",), ("logs",), ("doctor",), ("diff", "-i", "inventory.yml", "--live"), ("rollback",)):
        run(*args)  # the play in the roles' place tells them nothing, and notes what it sees

    (stage / "break").touch()
    assert "broken" in looked(6, *up, "--no-measure", "--set", "max-num-seqs=7").err
    (stage / "break").unlink()
    Path("deploykit.yaml").write_text(yaml.safe_dump(planted | {"monitoring": {"grafana_url": url}}))
    assert "I do not know Bearer ***" in looked(0, *up, "--no-measure").err
    assert asked == [f"Bearer {PLANTED['grafana']}"]
    looked(0, "down")

    assert not found_in((stage / "seen" / "ansible").read_bytes()), "an ancestor of a task had it"
    mine = {stage / "meant", stage / "seen" / "locust", *(stage / "sources").iterdir()}
    looked_at = [file for file in stage.rglob("*") if file.is_file() and not file.is_symlink() and file not in mine]
    assert len(looked_at) > 40
    assert [str(file) for file in looked_at if found_in(file.read_bytes())] == []
    assert stat.S_IMODE((stage / "meant").stat().st_mode) == 0o600
