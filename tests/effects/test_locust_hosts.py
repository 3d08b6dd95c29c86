"""Load from other machines: what ssh is given and what a host must have; the whole road over a real sshd on loopback."""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from deploykit import __version__
from deploykit.catalog.workload import ClosedLoop, OpenLoop, OwnPrompts, TraceReplay
from deploykit.effects.inventory import ssh_of
from deploykit.effects.load_agent import greeting
from deploykit.effects.load_inputs import FileInputs
from deploykit.effects.locust import LocustGenerator, read_samples
from deploykit.effects.locust_hosts import greet, ssh_command
from deploykit.errors import Interrupted, LoadTestError, UsageError
from deploykit.measuring.load_hosts import AgentNews, AgentOrder, LoadHost, parse_host
from deploykit.measuring.samples import LoadTestSpec
from tests.loadtests.builders import make_workload
from tests.loadtests.servers import paced

ROOT = Path(__file__).resolve().parents[2]
KEY = "sk-not-to-be-seen"


@pytest.mark.parametrize(
    ("text", "user", "address", "port"),
    [
        ("load1", None, "load1", None),
        ("ops@load1.example.com", "ops", "load1.example.com", None),
        (" ops@10.0.0.5:2222 ", "ops", "10.0.0.5", 2222),
        ("2001:db8::7", None, "2001:db8::7", None),
    ],
)
def test_a_host_is_written_as_ssh_has_it(text: str, user: str | None, address: str, port: int | None) -> None:
    host = parse_host(text, command="deploykit")
    assert (host.user, host.address, host.port, host.name) == (user, address, port, address)


@pytest.mark.parametrize(
    "text", ["", "-oProxyCommand=x", "a b", "x@", "-l@host", "host:port", "host:99999", "a/b", "@h"]
)
def test_what_is_no_host_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is not a host"):
        parse_host(text, command="deploykit")


def test_ssh_is_given_the_host_as_one_word_after_its_options() -> None:
    host = LoadHost(
        name="a", address="10.0.0.5", user="ops", port=2222, key_file="a key", command="/opt/my env/deploykit"
    )
    command = ssh_command(host, "-R", "1:127.0.0.1:2", arguments="--check")
    assert command[-3:] == ["--", "10.0.0.5", "'/opt/my env/deploykit' load-agent --check"]
    assert command[:3] == ["ssh", "-T", "-x"]
    assert [command[command.index(flag) + 1] for flag in ("-l", "-p", "-i", "-R")] == [
        "ops",
        "2222",
        "a key",
        "1:127.0.0.1:2",
    ]
    assert "BatchMode=yes" in command


@pytest.mark.parametrize(
    "file",
    ["../x", "/etc/passwd", "samples-1.jsonl/..", "loadtest.json", "samples-.jsonl", "x-1.json", "samples-1.jsonl\n"],
)
def test_a_host_names_no_other_file_of_ours(file: str) -> None:
    with pytest.raises(ValidationError):
        AgentNews(file=file, text="")
    assert AgentNews(file="samples-12.jsonl", text="").file == "samples-12.jsonl"


@pytest.fixture
def ssh_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Put an `ssh` on the path that prints this and ends so."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")

    def says(out: str, code: int = 0, err: str = "") -> None:
        (folder / "out").write_text(out)
        (folder / "err").write_text(err)
        (folder / "ssh").write_text(f'#!/bin/sh\ncat "{folder}/out"; cat "{folder}/err" >&2; exit {code}\n')
        (folder / "ssh").chmod(0o755)

    return says


HOST = LoadHost(name="load1", address="load1")


def test_a_host_is_greeted_whatever_its_login_prints(ssh_says) -> None:
    here = greeting()
    ssh_says(f"Welcome to load1!\n{{}}\n{here.model_dump_json()}\n")
    assert greet(HOST) == here


@pytest.mark.parametrize(
    ("out", "code", "err", "says"),
    [
        ("", 255, "Permission denied (publickey).", "`load1` cannot be reached"),
        ("", 127, "sh: deploykit: not found", "no deploykit that makes load"),
        ("", 2, "No such command 'load-agent'.", "no deploykit that makes load"),
        (greeting().model_copy(update={"deploykit": "0.0.1"}).model_dump_json(), 0, "", "has deploykit 0.0.1"),
        (greeting().model_copy(update={"locust": "1.0"}).model_dump_json(), 0, "", "has locust 1.0"),
    ],
    ids=["unreachable", "without-deploykit", "older-deploykit", "another-deploykit", "another-locust"],
)
def test_a_host_that_cannot_make_load_is_one_error(ssh_says, out: str, code: int, err: str, says: str) -> None:
    ssh_says(out, code, err)
    with pytest.raises(LoadTestError, match=says) as error:
        greet(HOST)
    assert err in str(error.value)
    assert error.value.hint


def test_an_inventory_knows_how_to_get_to_a_host(tmp_path: Path) -> None:
    inventory = tmp_path / "inventory.yml"
    inventory.write_text(
        "all:\n  hosts:\n    near: {}\n  children:\n    load:\n      vars:\n"
        "        ansible_ssh_common_args: -o ProxyJump=gate -o 'UserKnownHostsFile=a b'\n"
        "      hosts:\n        far: {ansible_host: 10.0.0.5, ansible_port: 2222, ansible_user: ops}\n"
    )
    assert ssh_of(inventory) == {
        "near": {"address": "near", "options": ()},
        "far": {
            "address": "10.0.0.5", "port": 2222, "user": "ops",
            "options": ("-o", "ProxyJump=gate", "-o", "UserKnownHostsFile=a b"),
        },
    }  # fmt: skip


def test_the_order_holds_the_key_so_that_no_command_line_does() -> None:
    order = AgentOrder(spec="{}", files={}, processes=1, port=1, api_key=KEY)
    assert AgentOrder.model_validate_json(order.model_dump_json()) == order
    assert not any(KEY in word for word in ssh_command(HOST, "-R", "1:127.0.0.1:2"))


def _sshd() -> str | None:
    """Return the program sshd; in a container whose packages start no service it is installed first."""
    path = f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin"
    starts_none = Path("/usr/sbin/policy-rc.d").is_file()
    if shutil.which("sshd", path=path) is None and starts_none and os.geteuid() == 0 and shutil.which("apt-get"):
        subprocess.run(
            ["apt-get", "install", "--yes", "--no-install-recommends", "openssh-server"], check=False, capture_output=True
        )  # fmt: skip
    return shutil.which("sshd", path=path) if sys.platform.startswith("linux") else None


@pytest.fixture
def hosts(tmp_path: Path) -> Iterator[tuple[LoadHost, ...]]:
    """Two hosts behind a real sshd of this machine's user, on loopback, with keys of its own."""
    program = _sshd()
    if program is None:
        pytest.skip("OpenSSH's server is not installed here: the package openssh-server has it")
    folder = tmp_path / "ssh"
    folder.mkdir()
    for name in ("key", "hostkey"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name], check=True)
    from deploykit.effects.locust_processes import free_port

    port = free_port()
    known = f"[127.0.0.1]:{port} {(folder / 'hostkey.pub').read_text()}"
    (folder / "known").write_text(known)
    (folder / "config").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {folder}/hostkey\nAuthorizedKeysFile {folder}/key.pub\n"
        "StrictModes no\nUsePAM no\nPasswordAuthentication no\nPidFile none\n"
    )
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)  # where sshd locks its own half up
    (folder / "there").mkdir()
    agent = folder / "deploykit"
    agent.write_text(
        f'#!/bin/sh\nexport PYTHONPATH="{ROOT}" TMPDIR="{folder}/there"\nexec "{sys.executable}" -m deploykit "$@"\n'
    )
    agent.chmod(0o755)
    options = ("-o", "IdentitiesOnly=yes", "-o", f"UserKnownHostsFile={folder}/known", "-F", "none")
    with (
        (folder / "log").open("wb") as log,
        subprocess.Popen([program, "-D", "-e", "-f", folder / "config"], stderr=log) as server,
    ):
        try:
            deadline = time.monotonic() + 20
            while b"listening" not in (folder / "log").read_bytes():
                assert server.poll() is None, (folder / "log").read_text()
                assert time.monotonic() < deadline
                time.sleep(0.05)
            yield tuple(
                LoadHost(
                    name=name,
                    address="127.0.0.1",
                    port=port,
                    key_file=f"{folder}/key",
                    options=options,
                    command=str(agent),
                )
                for name in ("one", "two")
            )
        finally:
            server.kill()
    assert not _agents(folder), "processes of a load test were left on a host"
    assert not list((folder / "there").iterdir()), "files of a load test were left on a host"


def _agents(folder: Path) -> list[int]:
    """Return the processes that an agent on a host is, or has started: they have its folder for temporary files."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if f"TMPDIR={folder}/there".encode() in (process / "environ").read_bytes().split(b"\0"):
                found.append(int(process.name))
        except OSError:
            continue  # it ended meanwhile, or is another user's
    return found


def spec_on(
    hosts: tuple[LoadHost, ...], url: str, folder: Path, *stages: Any, each: int = 1, **workload: Any
) -> LoadTestSpec:
    made = FileInputs().prepare(make_workload(stages=stages, **workload), folder / "inputs")
    return LoadTestSpec(
        base_url=url, model="paced", workload=made, hosts=hosts, processes=each * len(hosts), inputs="inputs", drain_s=10
    )  # fmt: skip


def generate(spec: LoadTestSpec, folder: Path):
    return LocustGenerator(ROOT / "loadtests").run(spec, directory=folder, api_key=KEY, on_progress=lambda _: None)


@pytest.mark.calibration
def test_hosts_share_one_schedule_and_one_zero_and_no_key_is_seen(
    tmp_path: Path, hosts: tuple[LoadHost, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "t.jsonl").write_text(
        "".join(f'{{"timestamp": {100 * n}, "input_length": 99, "output_length": 5}}\n' for n in range(8))
    )
    folder = tmp_path / "run"
    stages = (
        TraceReplay(file=str(tmp_path / "t.jsonl"), duration_s=60),
        ClosedLoop(users=4, duration_s=30, max_requests=12),
    )
    commands: list[bytes] = []
    real = subprocess.Popen

    def popen(command: Any, *arguments: Any, **options: Any) -> Any:
        commands.append(" ".join(map(str, command)).encode())
        return real(command, *arguments, **options)

    monkeypatch.setattr(subprocess, "Popen", popen)
    with paced(ttft_s=0.02, itl_s=0.001) as url:
        facts, samples = generate(spec_on(hosts, url, folder, *stages, each=2), folder)
    assert {sample.outcome for sample in samples} == {"ok"}
    assert sorted(s.request for s in samples) == [*range(8), *range(10_000_000, 10_000_012)]
    assert {sample.worker for sample in samples} == {0, 1, 2, 3}
    due = [s.intended_s - facts.stage_starts_s[0] for s in sorted(samples, key=lambda s: s.request) if s.stage == 0]
    # one zero, up to what each host's clock may be off: on this machine all clocks are one, so their offset is what is found
    assert max(part.clock_error_s for part in facts.of_processes) < 0.05
    assert due == pytest.approx([1 + 0.1 * n for n in range(8)], abs=0.05)
    assert all(part.clock_error_s > 0 for part in facts.of_processes)
    assert not facts.lost
    assert sum(b"load-agent" in command for command in commands) == 4  # each greeted, then given its order
    assert not any(KEY.encode() in command for command in commands)
    for file in folder.rglob("*"):
        assert not file.is_file() or KEY.encode() not in file.read_bytes()
    assert {f"locust-{number}.log" for number in range(4)} <= {file.name for file in folder.iterdir()}


@pytest.mark.calibration
def test_a_lost_host_ends_the_run_and_nothing_measured_is_lost(tmp_path: Path, hosts: tuple[LoadHost, ...]) -> None:
    def cut_one_off(folder: Path) -> None:
        """Kill the program behind one connection, as a machine that goes down would."""
        agents = [pid for pid in _agents(tmp_path / "ssh") if b"-m\0deploykit\0load-agent" in _command(pid)]
        os.kill(max(agents), signal.SIGKILL)

    folder = tmp_path / "run"
    with paced(ttft_s=0.01, itl_s=0.001) as url:
        killer = threading.Thread(target=_when_both_sampled, args=(folder, cut_one_off))
        killer.start()
        with pytest.raises(
            LoadTestError, match=r"the load host `(one|two)` was lost .*; [1-9]\d* requests were recorded"
        ):
            generate(spec_on(hosts, url, folder, ClosedLoop(users=4, duration_s=60)), folder)
        killer.join()
    samples = read_samples(folder / "samples.jsonl")
    assert {sample.worker for sample in samples} == {0, 1}
    assert len(json.loads((folder / "generator.json").read_text())["lost"]) == 1
    shutil.rmtree(tmp_path / "ssh" / "there")  # a killed agent cannot tidy up
    (tmp_path / "ssh" / "there").mkdir()


@pytest.mark.calibration
def test_ctrl_c_keeps_the_samples_of_all_hosts(tmp_path: Path, hosts: tuple[LoadHost, ...]) -> None:
    folder = tmp_path / "run"
    with paced(ttft_s=0.01, itl_s=0.001) as url:
        presser = threading.Thread(
            target=_when_both_sampled, args=(folder, lambda _: os.kill(os.getpid(), signal.SIGINT))
        )
        presser.start()
        with pytest.raises(Interrupted, match=r"[1-9]\d* requests are in"):
            generate(spec_on(hosts, url, folder, ClosedLoop(users=4, duration_s=60)), folder)
        presser.join()
    assert {sample.worker for sample in read_samples(folder / "samples.jsonl")} == {0, 1}
    assert json.loads((folder / "generator.json").read_text())["stopped_by"] == "signal"


@pytest.mark.calibration
def test_own_prompts_go_to_the_hosts_and_are_gone_when_the_run_ends(
    tmp_path: Path, hosts: tuple[LoadHost, ...]
) -> None:
    (tmp_path / "p.jsonl").write_text('{"prompt": "a b"}\n{"prompt": "a b c d"}\n')
    folder, own = tmp_path / "run", OwnPrompts(file=str(tmp_path / "p.jsonl"))
    with paced(ttft_s=0.01, itl_s=0.001) as url:
        stage = OpenLoop(requests_per_s=10, duration_s=2, arrivals="constant")
        _, samples = generate(spec_on(hosts, url, folder, stage, own_prompts=own), folder)
    assert {(s.prompt, s.prompt_tokens) for s in samples} == {(0, 8), (1, 11)}  # 1.5 tokens a word, and 5


@pytest.mark.calibration
def test_a_server_that_refuses_the_key_is_one_sentence_from_a_host_too(
    tmp_path: Path, hosts: tuple[LoadHost, ...]
) -> None:
    with paced(fault="http_401") as url, pytest.raises(LoadTestError, match="HTTP 401"):
        generate(spec_on(hosts[:1], url, tmp_path / "run", ClosedLoop(users=1, duration_s=5)), tmp_path / "run")


def _command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def _when_both_sampled(folder: Path, act: Callable[[Path], None]) -> None:
    deadline = time.monotonic() + 60
    while not all(read_samples(folder / f"samples-{n}.jsonl") for n in (0, 1)) and time.monotonic() < deadline:
        time.sleep(0.05)
    act(folder)


def test_a_greeting_is_of_this_deploykit() -> None:
    assert greeting().deploykit == __version__
