"""One engine over two hosts, by vLLM's own launcher: served through the gateway; a rank that is killed comes back."""

import time

import pytest

pytestmark = pytest.mark.hosts

MODEL = "qwen3-235b"
BACK_S = 420
"""Two engines import vLLM side by side on as few as two processors."""


@pytest.fixture(scope="module")
def site(serving, lab, make_operator, make_site, tmp_path_factory):
    folder = tmp_path_factory.mktemp("operator")
    machines = serving(2)
    operator = make_operator(folder)
    (operator.work / "deploykit.yaml").write_text(f"model: {MODEL}\ninterface: host0\nmonitoring: {{enabled: false}}\n")
    inventory = lab.inventory(folder / "inventory.yml", machines)
    return make_site(machines, operator, inventory, "--set", "tensor-parallel-size=2", model=MODEL)


@pytest.fixture
def doubles(quick, lab, make_operator, make_site, tmp_path):
    """The same with the engine's double, which is patient: what ends a start is what is seen on the other host."""
    machines = quick(2)
    home = tmp_path / ("a-home-whose-path-is-too-long-for-sockets-of-ssh" + "-" * 20)
    home.mkdir()
    operator = make_operator(home)
    (operator.work / "deploykit.yaml").write_text(
        f"model: {MODEL}\ninterface: host0\nmonitoring: {{enabled: false}}\npatience: {{no_progress_s: 600}}\n"
    )
    inventory = lab.inventory(tmp_path / "inventory.yml", machines)
    site = make_site(machines, operator, inventory, "--set", "tensor-parallel-size=2", model=MODEL)
    yield site
    assert site.operator.run("down").returncode == 0


def test_a_release_that_fails_on_one_rank_is_taken_back_on_both_hosts(doubles):
    """The rank without HTTP is lost some seconds after its start; the first one would wait for it."""
    left = "/etc/systemd/system/deploykit-monitoring.service"  # as a deployment before this one had it
    for machine in doubles.machines:
        machine.root("sh", "-c", f"printf '[Service]\\nExecStart=/bin/false\\n' > {left}")
    release = doubles.up()["release"]
    assert doubles.ask() == 200
    for machine in doubles.machines:
        assert machine.root("sh", "-c", f"test -e {left} || echo gone").strip() == "gone"
    began = time.monotonic()
    said = doubles.failed("--set", "max-num-seqs=46")
    assert time.monotonic() - began < 300, "the patience of the first rank was not waited for"
    assert said.startswith(f"error: {doubles.machines[1].name}: engine : Wait until the engine has loaded: rank-1 died")
    assert f"release {release}, which served before, serves again: it answered a completion" in said
    assert doubles.current() == release, "on both hosts"
    assert {state for state, _ in doubles.engines().values()} == {"active"}
    for machine in doubles.machines:
        pid = next(pid for (host, _), (_, pid) in doubles.engines().items() if host == machine.name)
        assert machine.root("readlink", f"/proc/{pid}/cwd").strip() == f"/opt/deploykit/releases/{release}"
    assert doubles.ask() == 200
    assert doubles.locked() == []


def test_two_ranks_on_two_hosts_answer_through_the_gateway(site):
    made = site.up()
    assert made["changed"]
    first, second = (machine.name for machine in site.machines)
    assert set(site.engines()) == {(first, "deploykit-rank-0.service"), (second, "deploykit-rank-1.service")}
    assert site.ask() == 200
    assert not site.up()["changed"]
    # The gateway hides the engine from callers. What it counted is read on its host, and must be what it answered.
    measured = site.operator.json("loadtest", "--users", "1", "--duration", "10", "--no-certificate")["measurements"]
    told = measured["reconciliation"]
    assert told["client"]["output"] > 0
    assert told["engine"] is not None
    assert told["difference"] < 0.02, told


def test_a_rank_that_is_killed_is_found_and_comes_back(site):
    before = site.engines()
    site.machines[1].root("systemctl", "kill", "--signal=KILL", "deploykit-rank-1.service")
    seen, end = [], time.monotonic() + BACK_S
    while not (seen[-2:] == [200, 200] and before != site.engines()):
        assert time.monotonic() < end, (seen, before, site.engines())
        seen.append(site.ask(timeout=20))
        time.sleep(1)
    assert set(seen) - {200}, "while a rank is missing, callers are told so"
    assert not site.up()["changed"]


def test_down_ends_both_ranks(site):
    assert site.operator.run("down").returncode == 0
    assert {state for state, _ in site.engines().values()} <= {"inactive"}
    assert site.ask() == "URLError"
