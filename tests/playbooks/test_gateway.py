"""The gateway's modules, with a real HAProxy and a real openssl, in folders of their own."""

import base64
import grp
import hashlib
import hmac
import os
import shutil
import socket
import ssl
import stat
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from deploykit.effects.locust_processes import locust_environment
from tests.rendering.gateway_rig import KEYS, Engine, eventually, haproxy, running

GOLDEN = Path(__file__).resolve().parents[1] / "rendering/golden"


def run_command(command, *, environ_update=None, check_rc=False):
    """What AnsibleModule.run_command does."""
    done = subprocess.run(
        command, capture_output=True, text=True, check=check_rc, env=os.environ | (environ_update or {})
    )
    return done.returncode, done.stdout, done.stderr


@dataclass
class Asked:
    """An AnsibleModule, as far as ours use it."""

    params: dict[str, Any]
    check_mode: bool = False

    def run_command(self, command, **how):
        return run_command(command, **how)


@pytest.fixture
def gateway(module):
    return module("deploykit_gateway")


def asked(
    config: Path, *, root: Path | None = None, keys: str = "", certificate: str = "", check_mode: bool = False
) -> Asked:
    group = grp.getgrgid(os.getgid()).gr_name
    params = {
        "config": str(config), "keys": keys, "root": str(root or config.parent), "certificate": certificate, "group": group, "program": haproxy(),
    }  # fmt: skip
    return Asked(params, check_mode)


@pytest.fixture
def home(tmp_path):
    """A home of the gateway whose current files are in `first`."""
    (tmp_path / "gateway" / "first").mkdir(parents=True)
    (tmp_path / "gateway" / "current").symlink_to("first")
    return tmp_path / "gateway"


@pytest.fixture
def engines_key(module, tmp_path):
    """The key that the engines of the host have."""
    keys = module("deploykit_keys")
    module("deploykit_key").place(str(tmp_path), keys.new_key())
    return keys.engine_key(str(tmp_path))


VALID = "global\n    default-path config\nfrontend f\n    mode http\n    timeout client 1s\n    bind 127.0.0.1:8000\n    http-request return status 200\n"


def test_files_are_placed_whole_for_the_gateway_alone(gateway, engines_key, tmp_path):
    config = tmp_path / "haproxy.cfg"
    config.write_text(VALID)
    home = tmp_path / "gateway"
    done = gateway.place(asked(config, keys="ab default\n", certificate="pem"), str(home))
    assert done == {"changed": True, "previous": None}
    current = home / "current"
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in current.iterdir()}
    assert modes == dict.fromkeys(["haproxy.cfg", "keys.map", "salt.map", "engine-key.map", "tls.pem"], 0o640)
    assert stat.S_IMODE(home.stat().st_mode) == 0o750
    assert (current / "engine-key.map").read_text() == f"engine {engines_key}\n"
    assert gateway.place(asked(config, keys="ab default\n", certificate="pem"), str(home))["changed"] is False


def test_a_key_has_another_hash_on_every_host_and_the_same_at_every_up(gateway, tmp_path):
    found = []
    for host in ("one", "two"):
        (tmp_path / host).mkdir()
        config = tmp_path / host / "haproxy.cfg"
        config.write_text(VALID)
        for _ in range(2):
            gateway.place(asked(config, keys=_hash("key")), str(tmp_path / host / "gateway"))
        found += [
            path.read_text() for path in (tmp_path / host).glob("gateway/*/keys.map") if "current" not in str(path)
        ]
    assert len(set(found)) == len(found) == 2
    assert hashlib.sha256(b"key").hexdigest() not in "".join(found)


def test_a_check_changes_nothing_and_says_what_it_would(gateway, tmp_path):
    config = tmp_path / "haproxy.cfg"
    config.write_text(VALID)
    assert gateway.place(asked(config, check_mode=True), str(tmp_path / "gateway"))["changed"] is True
    assert not (tmp_path / "gateway").exists()


def test_a_configuration_that_haproxy_does_not_take_is_never_current(gateway, home, tmp_path):
    config = tmp_path / "haproxy.cfg"
    config.write_text(VALID + "    no-such-word\n")
    with pytest.raises(gateway.GatewayError, match="no-such-word"):
        gateway.place(asked(config), str(home))
    assert (home / "current").readlink() == Path("first")
    assert [path.name for path in home.iterdir() if path.name != "current"] == ["first"]


def test_the_last_files_are_kept_for_a_way_back(gateway, home, tmp_path):
    config = tmp_path / "haproxy.cfg"
    config.write_text(VALID)
    for number in range(6):
        gateway.place(asked(config, keys=f"{number} default\n"), str(home))
    assert len([path for path in home.iterdir() if path.name != "current"]) == gateway.KEPT + 1
    salt = base64.b64decode((home / "current" / "salt.map").read_text().split()[1])
    assert (home / "current" / "keys.map").read_text() == f"{hmac.new(salt, b'5', 'sha256').hexdigest()} default\n"


def test_new_keys_are_taken_by_a_running_gateway(gateway, home, tmp_path):
    with running(home / "current", runtime=tmp_path) as live:
        module = asked(home / "first" / "haproxy.cfg", keys=_hash("fresh"))
        done = gateway.place(module, str(home))
        assert done == {"changed": True, "previous": "first"}
        assert live.ask(key="old-key").status == 200, "placing alone changed what serves"
        gateway.reload({"socket": str(tmp_path / "admin.sock"), "pid": live.master.pid, "previous": "first"}, str(home))
        assert live.ask(key="fresh").status == 200
        assert live.ask(key="old-key").status == 401


def test_a_configuration_that_cannot_start_leaves_the_one_before(gateway, home, tmp_path, monkeypatch):
    """It is well formed, but its port is another's: only the attempt shows it."""
    monkeypatch.setattr(gateway, "TRIES", 2)
    monkeypatch.setattr(gateway, "RELOAD_S", 2.0)
    with running(home / "current", runtime=tmp_path) as live, socket.socket(socket.AF_INET6) as other:
        other.bind(("::", 0))
        other.listen()
        config = tmp_path / "haproxy.cfg"
        text = (home / "first" / "haproxy.cfg").read_text()
        config.write_text(text.replace(f":::{live.port} ", f":::{other.getsockname()[1]} "))
        gateway.place(asked(config, keys=_hash("fresh")), str(home))
        params = {"socket": str(tmp_path / "admin.sock"), "pid": live.master.pid, "previous": "first"}
        with pytest.raises(gateway.GatewayError, match="before serves again"):
            gateway.reload(params, str(home))
        assert (home / "current").readlink() == Path("first")
        assert live.ask(key=KEYS["default"][0]).status == 200


def test_a_way_back_keeps_keys_and_certificate_that_are_in_force(gateway, home, tmp_path):
    config = home / "first" / "haproxy.cfg"
    config.write_text("global\n")
    if not (home / "current").exists():
        (home / "current").symlink_to("first")
    (home / "first" / "keys.map").write_text("0123 team\n")
    (home / "first" / "tls.pem").write_text("certificate")
    wanted = asked(config)
    wanted.params.update(keys=None, certificate=None)
    files = gateway.files_of(wanted.params, str(home))
    assert (files["keys.map"], files["tls.pem"]) == ("0123 team\n", "certificate")
    wanted.params.update(keys="", certificate="")
    assert gateway.files_of(wanted.params, str(home)).get("tls.pem") is None


def test_a_drain_waits_for_what_is_open(gateway, tmp_path):
    with running(tmp_path, engines=2) as live:
        engine = live.engines[0]
        params = {"socket": str(tmp_path / "admin.sock"), "engine": engine.name, "timeout_s": 0.0}
        gateway._set_state(params["socket"], live.engines[1].name, "maint")
        asking = threading.Thread(target=live.ask, kwargs={"body": {"hold": True}})
        asking.start()
        eventually(lambda: engine.held.acquire(blocking=False), "the request")
        with pytest.raises(gateway.GatewayError, match=r"still answers 1 request"):
            gateway.drain(params)
        engine.go.set()
        assert gateway.drain(params | {"timeout_s": 20.0}) == {"changed": True}
        asking.join()
        assert live.ask().status == 503
        gateway._set_state(params["socket"], params["engine"], "ready")
        eventually(lambda: live.ask().status == 200, "that it is used again")


def test_an_engine_is_used_again_once_the_gateways_own_probe_has_found_it_up(gateway, tmp_path):
    with running(tmp_path, engines=2) as live:
        params = {
            "socket": str(tmp_path / "admin.sock"),
            "engine": live.engines[0].name,
            "timeout_s": 5.0,
            "ready_s": 30.0,
        }
        gateway.drain(params)
        assert "DRAIN" in gateway._row(params["socket"], params["engine"], "status")
        assert gateway.use(params) == {"changed": True}
        assert gateway._row(params["socket"], params["engine"], "status").startswith("UP")


def test_what_was_left_drained_is_used_again(gateway, tmp_path):
    with running(tmp_path, engines=2) as live:
        params = {"socket": str(tmp_path / "admin.sock"), "engine": live.engines[0].name, "timeout_s": 5.0}
        assert gateway.use_all(params) == {"changed": False}
        gateway.drain(params)
        assert gateway.use_all(params) == {"changed": True}
        eventually(lambda: gateway._row(params["socket"], params["engine"], "status").startswith("UP"), "that it is up")


def test_what_is_drained_is_not_in_service(gateway, tmp_path):
    with running(tmp_path, engines=2) as live:
        first, second = (engine.name for engine in live.engines)
        params = {"socket": str(tmp_path / "admin.sock"), "engine": first, "timeout_s": 5.0}
        assert set(gateway.look(params)["in_service"]) == {first, second}
        gateway.drain(params)
        assert gateway.look(params)["in_service"] == [second]
    assert gateway.look(params)["in_service"] == [], "nobody answers"


def test_where_there_is_no_gateway_nothing_is_drained(gateway, tmp_path):
    params = {"socket": str(tmp_path / "none.sock"), "engine": "engine-0", "timeout_s": 1.0, "ready_s": 1.0}
    assert gateway.drain(params) == gateway.use(params) == {"changed": False}


def test_a_drain_waits_for_what_went_through_the_router_too(gateway, tmp_path):
    router = Engine("router")
    with running(tmp_path, engines=2, router=f"127.0.0.1:{router.server_port}") as live:
        eventually(lambda: "router" in live.up(), "the router")
        params = {"socket": str(tmp_path / "admin.sock"), "engine": live.engines[0].name, "timeout_s": 0.0}
        asking = threading.Thread(target=live.ask, kwargs={"body": {"hold": True}})
        asking.start()
        eventually(lambda: router.held.acquire(blocking=False), "the request")
        with pytest.raises(gateway.GatewayError, match=r"still answers 1 request"):
            gateway.drain(params)
        router.go.set()
        assert gateway.drain(params | {"timeout_s": 20.0}) == {"changed": True}
        asking.join()
    router.stop()


def test_an_engine_that_is_not_there_cannot_be_drained(gateway, tmp_path):
    with running(tmp_path) as live, pytest.raises(gateway.GatewayError, match="does not know the engine engine-7"):
        gateway.drain({"socket": str(live.runtime / "admin.sock"), "engine": "engine-7", "timeout_s": 0.0})


@pytest.fixture
def authority(module):
    if shutil.which("openssl") is None:
        pytest.skip("there is no `openssl` on the PATH")
    return module("deploykit_authority")


def test_a_certificate_is_made_once_and_again_for_another_name(authority, tmp_path):
    folder = str(tmp_path)
    assert authority.good(run_command, folder, "127.0.0.1") is False
    authority.make_authority(run_command, folder)
    authority.make_certificate(run_command, folder, "127.0.0.1")
    assert authority.good(run_command, folder, "127.0.0.1") is True
    assert authority.good(run_command, folder, "127.0.0.2") is False
    assert authority.good(run_command, folder, "llm.example.com") is False
    authority.make_certificate(run_command, folder, "llm.example.com")
    assert authority.good(run_command, folder, "llm.example.com") is True


def test_a_client_that_has_the_root_trusts_the_gateway_and_no_other_does(authority, tmp_path):
    authority.make_authority(run_command, str(tmp_path))
    authority.make_certificate(run_command, str(tmp_path), "127.0.0.1")
    certificate = (tmp_path / "gateway.pem").read_text()
    with running(tmp_path, tls="internal", certificate=certificate) as live:
        request = urllib.request.Request(
            f"https://127.0.0.1:{live.port}/v1/models", headers={"Authorization": f"Bearer {KEYS['default'][0]}"}
        )
        trusting = ssl.create_default_context(cafile=str(tmp_path / "ca.pem"))
        with urllib.request.urlopen(request, context=trusting, timeout=20) as answer:
            assert answer.status == 200
        with pytest.raises(urllib.error.URLError, match="CERTIFICATE_VERIFY_FAILED"):
            urllib.request.urlopen(request, timeout=20)
        old = ssl.create_default_context(cafile=str(tmp_path / "ca.pem"))
        old.maximum_version = ssl.TLSVersion.TLSv1_2
        with urllib.request.urlopen(request, context=old, timeout=20) as answer:
            assert answer.status == 200


ASKED = """
import sys, time
from wire import Exchange, Server
told = Exchange()
Server(sys.argv[1], api_key=sys.argv[2], clock=time.monotonic).post("/v1/completions", b"{}", timeout_s=20, into=told)
print(told.status, told.failure, told.detail)
"""


@pytest.mark.parametrize(("trusts", "says"), [(True, "200 None"), (False, "CERTIFICATE_VERIFY_FAILED")])
def test_the_load_generator_trusts_the_root_that_it_is_given(authority, tmp_path, trusts, says):
    authority.make_authority(run_command, str(tmp_path))
    authority.make_certificate(run_command, str(tmp_path), "127.0.0.1")
    given = locust_environment(tmp_path / "loadtest.json", None, tmp_path / "ca.pem" if trusts else None, ())
    given["PYTHONPATH"] = os.pathsep.join([str(GOLDEN.parents[2] / "loadtests"), given["PYTHONPATH"]])
    certificate = (tmp_path / "gateway.pem").read_text()
    with running(tmp_path, tls="internal", certificate=certificate) as live:
        words = [sys.executable, "-c", ASKED, f"https://127.0.0.1:{live.port}", KEYS["default"][0]]
        done = subprocess.run(words, env=given, capture_output=True, text=True, check=True)
    assert says in done.stdout


def _hash(key: str) -> str:
    return f"{hashlib.sha256(key.encode()).hexdigest()} default\n"


@pytest.mark.parametrize("case", sorted(path.parts[-3] for path in GOLDEN.glob("*/gateway/haproxy.cfg")))
def test_haproxy_takes_what_is_rendered(gateway, authority, tmp_path, case):
    authority.make_authority(run_command, str(tmp_path))
    authority.make_certificate(run_command, str(tmp_path), "llm.example.org")
    config = GOLDEN / case / "gateway" / "haproxy.cfg"
    module = asked(config, keys=_hash("key"), certificate=(tmp_path / "gateway.pem").read_text())
    assert gateway.place(module, str(tmp_path / "gateway"))["changed"] is True
