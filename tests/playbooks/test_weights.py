"""The module and its worker against a hub on loopback: what is fetched, resumed, refused, and not read twice."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

double = sys.modules["deploykit_test_hub"]
FIRST, SECOND = "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"
FOLDER = f"{double.REPO.replace('/', '--')}-{double.REVISION[:12]}"


class Host:
    """A host's folder, and what the module does there."""

    def __init__(self, module, playbooks, root):
        self.module, self.root = module, root
        self.models = root / "models" / FOLDER
        (root / "weights").mkdir(parents=True)
        for name in ("fetch.py", "sources.py", "serve.py"):
            shutil.copy(playbooks / "roles/weights/files" / name, root / "weights")
        shutil.copy(playbooks / "module_utils/deploykit_weights.py", root / "weights")

    def params(self, lock, *sources, **changes):
        return {
            "root": str(self.root), "lock": lock, "sources": list(sources), "arrived": False, "parallel": 4,
            "verify": False, "python": sys.executable, "wait_s": 1, "token": None, **changes,
        }  # fmt: skip

    def step(self, params):
        repositories = self.module.weights.located(params["lock"], params["root"])
        todo, _ = self.module.look(repositories, params["verify"])
        return self.module.step(params, repositories, todo)

    def bring(self, lock, *sources, **changes):
        """Ask until it is done or has failed; return (error, notes, files placed)."""
        params = self.params(lock, *sources, **changes)
        while True:
            done, error, notes, placed, _ = self.step(params)
            if done or error:
                return error, notes, placed

    def holds(self, files):
        here = {str(p.relative_to(self.models)): p.read_bytes() for p in self.models.rglob("*") if p.is_file()}
        return here == {path: content for path, content in files.items() if not path.startswith("original/")}

    def verified(self):
        return json.loads(Path(f"{self.models}.verified.json").read_text())["files"]


@pytest.fixture
def make_host(module, playbooks, tmp_path):
    return lambda name="node1": Host(module("deploykit_weights"), playbooks, tmp_path / name)


@pytest.fixture
def host(make_host):
    return make_host()


def mirror(hub):
    return {"kind": "mirror", "url": hub.url}


def test_weights_come_from_a_hub_and_are_not_read_again(host, hub, module):
    lock = hub.lock()
    assert host.bring(lock, mirror(hub)) == (None, [], 4)
    assert host.holds(hub.files)
    assert not host.models.with_name(FOLDER + ".partial").exists()
    asked = len(hub.asked)
    for path in host.models.rglob("*"):
        path.chmod(0o000)  # whoever reads one fails (root reads all the same, and is watched by the asked)
    assert host.bring(lock, mirror(hub)) == (None, [], 0)
    assert len(hub.asked) == asked
    assert module("deploykit_weights").look(
        module("deploykit_weights").weights.located(lock, str(host.root)), verify=False
    ) == ([], 0)


@pytest.mark.parametrize("no_ranges", [False, True])
def test_a_dropped_connection_is_resumed(host, hub, no_ranges):
    hub.cut_after[FIRST] = [1_500_000]
    hub.no_ranges = no_ranges
    assert host.bring(hub.lock(), mirror(hub)) == (None, [], 4)
    assert host.holds(hub.files)
    again = hub.downloads(FIRST)[1:]
    assert again == ["bytes=1500000-"] or (not no_ranges and int(again[0][6:-1]) > 0)


def test_a_killed_download_goes_on_where_it_was(host, hub):
    hub.slow_s = 0.05
    params = host.params(hub.lock(), mirror(hub))
    partial = Path(f"{host.models}.partial") / FIRST
    while not partial.exists() or partial.stat().st_size < 300_000:
        assert host.step(params | {"wait_s": 0.2})[:2] == (False, None)
    worker = worker_of(host)
    os.kill(worker, signal.SIGKILL)
    wait_for(lambda: not host.module.Worker(str(host.root)).busy())
    had = partial.stat().st_size
    hub.slow_s = 0
    hub.asked.clear()
    assert host.bring(hub.lock(), mirror(hub))[0] is None
    assert host.holds(hub.files)
    assert hub.downloads(FIRST) == [f"bytes={had}-"]


def worker_of(host):
    script = str(host.root / "weights" / "fetch.py")
    for process in psutil.process_iter(["pid", "cmdline"]):
        if script in (process.info["cmdline"] or []):
            return process.info["pid"]
    raise AssertionError("no worker")


def wait_for(condition, seconds=30):
    ends = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < ends
        time.sleep(0.05)


def test_nobody_who_asks_ends_the_download_and_keeps_what_it_had(host, hub, module):
    hub.slow_s = 0.2
    params = host.params(hub.lock(), mirror(hub))
    host.step(params | {"wait_s": 0.5})
    worker = module("deploykit_weights").Worker(str(host.root))
    assert worker.busy()
    os.utime(worker.wanted, (0, 0))
    wait_for(lambda: not worker.busy())
    assert "stopped" in worker.told()["error"]
    hub.slow_s = 0
    os.utime(worker.status, (0, 0))  # an end of long ago is nobody's answer
    assert host.bring(hub.lock(), mirror(hub))[0] is None


def test_two_callers_share_one_download(host, hub, module):
    hub.slow_s = 0.02
    params = host.params(hub.lock(), mirror(hub))
    host.step(params | {"wait_s": 0.3})
    first = worker_of(host)
    host.step(params | {"wait_s": 0.3})
    assert worker_of(host) == first
    hub.slow_s = 0
    assert host.bring(hub.lock(), mirror(hub))[0] is None


@pytest.mark.parametrize(
    "damage", [lambda b: b[:-1] + b"x", lambda b: b[:1000], lambda b: b + b"more"], ids=["corrupt", "short", "long"]
)
def test_a_damaged_file_on_the_host_is_named_and_fetched_again(host, hub, damage):
    host.bring(hub.lock(), mirror(hub))
    hub.asked.clear()
    target = host.models / SECOND
    target.write_bytes(damage(target.read_bytes()))
    error, notes, placed = host.bring(hub.lock(), mirror(hub))
    assert (error, placed) == (None, 1)
    assert SECOND in notes[0]
    assert host.holds(hub.files)
    assert not hub.downloads(FIRST), "what is whole is not fetched again"


def test_rot_under_an_unchanged_time_is_found_when_asked_for(host, hub):
    host.bring(hub.lock(), mirror(hub))
    target = host.models / FIRST
    before = target.stat()
    target.write_bytes(target.read_bytes()[:-1] + b"x")
    os.utime(target, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert host.bring(hub.lock(), mirror(hub)) == (None, [], 0)
    error, notes, placed = host.bring(hub.lock(), mirror(hub), verify=True)
    assert (error, placed) == (None, 1)
    assert notes[0].startswith(f"{FIRST} was damaged")
    assert host.holds(hub.files)


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        (lambda hub: hub.broken.update({FIRST: hub.files[SECOND]}), "SHA-256 is"),
        (lambda hub: hub.broken.update({FIRST: hub.files[FIRST][:1000]}), "1000 bytes there instead of 3145728"),
        (lambda hub: hub.missing.add(FIRST), "is not in acme/tiny-moe at"),
    ],
    ids=["wrong", "short", "missing"],
)
def test_what_a_source_gives_instead_is_refused_by_name(host, hub, fault, says):
    fault(hub)
    error, _, _ = host.bring(hub.lock(), mirror(hub))
    assert error.startswith(f"{FIRST} cannot be had as it is locked")
    assert says in error
    assert not (host.models / FIRST).exists()


def test_the_next_source_is_asked(host, hub, tmp_path):
    folder = tmp_path / "disk"
    (folder / "tokenizer").mkdir(parents=True)
    for path in ("config.json", "tokenizer/vocab.json", FIRST):
        (folder / path).write_bytes(hub.files[path])
    (folder / FIRST).write_bytes(b"x" + hub.files[FIRST][1:])
    error, notes, placed = host.bring(hub.lock(), {"kind": "folder", "folder": str(folder)}, mirror(hub))
    assert (error, placed) == (None, 4)
    assert any(FIRST in note and str(folder) in note for note in notes)
    assert host.holds(hub.files)
    assert not hub.downloads("tokenizer/vocab.json")


@pytest.mark.parametrize(
    "layout", [double.REPO, "acme--tiny-moe", f"models--acme--tiny-moe/snapshots/{double.REVISION}", "."]
)
def test_a_folder_may_lie_as_people_copy_it(host, hub, tmp_path, layout):
    for path, content in hub.files.items():
        target = tmp_path / "disk" / layout / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
    assert host.bring(hub.lock(), {"kind": "folder", "folder": str(tmp_path / "disk")}) == (None, [], 4)
    assert host.holds(hub.files)


def test_a_server_of_plain_files_is_a_mirror(host, hub):
    hub.plain = True
    hub.cut_after[FIRST] = [None, 100]
    assert host.bring(hub.lock(), mirror(hub)) == (None, [], 4)
    assert host.holds(hub.files)


@pytest.mark.parametrize("token", [None, "hf_another"])
def test_a_gate_says_which_variable_opens_it(host, hub, token):
    hub.gated = True
    error, _, _ = host.bring(hub.lock(), mirror(hub), token=token)
    assert "gated" in error
    assert "HF_TOKEN" in error


def test_a_token_opens_it_and_is_written_nowhere(host, hub):
    hub.gated = True
    hub.slow_s = 0.02
    params = host.params(hub.lock(), mirror(hub), token=double.TOKEN)
    host.step(params | {"wait_s": 0.3})
    arguments = Path(f"/proc/{worker_of(host)}/cmdline").read_bytes()
    assert double.TOKEN.encode() not in arguments
    hub.slow_s = 0
    assert host.bring(hub.lock(), mirror(hub), token=double.TOKEN)[0] is None
    assert host.holds(hub.files)
    written = [p for p in host.root.rglob("*") if p.is_file() and double.TOKEN.encode() in p.read_bytes()]
    assert written == []


def test_a_file_nobody_locked_is_refused_by_name(host, hub, module):
    host.bring(hub.lock(), mirror(hub))
    (host.models / "modeling_evil.py").write_text("import os\n")
    loaded = module("deploykit_weights")
    with pytest.raises(loaded.weights.NotLockedError, match=r"modeling_evil\.py"):
        loaded.look(loaded.weights.located(hub.lock(), str(host.root)), verify=False)


def test_a_folder_without_a_manifest_is_hashed_and_kept(host, hub):
    for path, content in hub.files.items():
        if not path.startswith("original/"):
            target = host.models / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
    assert host.bring(hub.lock(), mirror(hub)) == (None, [], 0)
    assert not hub.asked
    assert set(host.verified()) == {path for path in hub.files if not path.startswith("original/")}


def test_what_was_sent_here_needs_no_source(host, hub):
    for path, content in hub.files.items():
        if not path.startswith("original/"):
            target = Path(f"{host.models}.partial") / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
    assert host.bring(hub.lock(), arrived=True) == (None, [], 4)
    assert host.holds(hub.files)


def test_a_peer_gives_what_it_has_and_nothing_else(make_host, hub):
    first, second = make_host("node1"), make_host("node2")
    first.bring(hub.lock(), mirror(hub))
    hub.asked.clear()
    # `ssh HOST OFFSET PATH` with a forced command, without the network between.
    serve = 'SSH_ORIGINAL_COMMAND="$0" exec "$PY" "$SERVE" "$MODELS"'
    for name, value in {
        "PY": sys.executable,
        "SERVE": first.root / "weights/serve.py",
        "MODELS": first.root / "models",
    }.items():
        serve = serve.replace(f"${name}", str(value))
    peer = {"kind": "peer", "name": "node1", "command": ["sh", "-c", serve]}
    assert second.bring(hub.lock(), peer) == (None, [], 4)
    assert second.holds(hub.files)
    assert not hub.asked
    (first.root / "secret").write_text("secret")
    for asked in ("0 ../secret", f"0 {first.root}/secret", "x config.json", "", "0 "):
        ran = subprocess.run(["sh", "-c", serve, asked], capture_output=True, check=False)
        assert (ran.returncode, ran.stdout) == (4, b"")


def test_a_peer_that_does_not_answer_gives_way_to_the_hub(host, hub):
    peer = {"kind": "peer", "name": "node1", "command": ["sh", "-c", "echo no route >&2; exit 4"]}
    error, notes, placed = host.bring(hub.lock(), peer, mirror(hub))
    assert (error, placed) == (None, 4)
    assert notes, "what the peer said is told"
    assert all(note.endswith("for node1: no route") for note in notes)
    assert host.holds(hub.files)


@pytest.mark.skipif(os.geteuid() != 0, reason="a small disk of its own is mounted by root")
def test_a_full_disk_is_found_before_anything_is_fetched(host, hub, module):
    models = host.root / "models"
    models.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(models)], check=True)
    try:
        error, _, _ = host.bring(hub.lock(), mirror(hub))
        loaded = module("deploykit_weights")
        _, wanted = loaded.look(loaded.weights.located(hub.lock(), str(host.root)), verify=False)
        told = loaded.weights.no_room(str(models), wanted)
    finally:
        subprocess.run(["umount", str(models)], check=True)
    assert "free some space" in error
    assert told == error
    assert not hub.downloads(FIRST)
    assert host.bring(hub.lock(), mirror(hub))[0] is None


@pytest.mark.skipif(os.geteuid() != 0, reason="a small disk of its own is mounted by root")
def test_a_disk_that_fills_up_under_the_worker(host, hub):
    models = host.root / "models"
    models.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(models)], check=True)
    hub.slow_s = 0.05
    try:
        params = host.params(hub.lock(), mirror(hub), wait_s=0.5, parallel=1)
        under_way = Path(f"{host.models}.partial/{FIRST}")
        while not (under_way.is_file() and under_way.stat().st_size):
            assert host.step(params)[:2] == (False, None)
        with (models / "filler").open("wb", buffering=0) as filler, contextlib.suppress(OSError):
            while filler.write(b"\0" * 4096):
                pass
        error, _, _ = host.bring(hub.lock(), mirror(hub), parallel=1)
        assert "No space left on device" in error
        (models / "filler").unlink()
        hub.slow_s = 0
        hub.asked.clear()
        assert host.bring(hub.lock(), mirror(hub), parallel=1)[0] is None
        assert host.holds(hub.files)
        assert None not in hub.downloads(FIRST), "it goes on where it was"
    finally:
        subprocess.run(["umount", "-l", str(models)], check=True)


def test_nobody_has_to_wait_for_a_worker_that_is_given_up(host, hub, module):
    hub.slow_s = 0.2
    params = host.params(hub.lock(), mirror(hub), wait_s=0.5)
    assert host.step(params)[:2] == (False, None)
    worker = module("deploykit_weights").Worker(str(host.root))
    worker.give_up()
    end = time.monotonic() + 30
    while worker.busy():
        assert time.monotonic() < end
        time.sleep(0.05)
    assert "stopped" in worker.told()["error"]


def test_the_sender_and_the_worker_look_in_the_same_folders(playbooks, tmp_path, hub):
    """The action plugin runs on the controller and cannot import the worker's table of layouts."""
    import importlib.util

    def load(path):
        spec = importlib.util.spec_from_file_location(path.stem, path)
        loaded = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(loaded)
        return loaded

    worker = load(playbooks / "roles/weights/files/sources.py")
    sender = load(playbooks / "action_plugins/deploykit_weights_push.py")
    repository = {"repo": double.REPO, "revision": double.REVISION}
    for number, inside in enumerate(worker.layouts(repository)):
        file = tmp_path / str(number) / Path(*inside) / "deep" / "config.json"
        file.parent.mkdir(parents=True)
        file.write_text("{}")
        assert sender._found(str(tmp_path / str(number)), repository | {"path": "deep/config.json"}) == str(
            file
        ).replace("//", "/")
