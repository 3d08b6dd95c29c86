"""Two replicas on two hosts behind the gateway: changed, broken and cut off while callers ask, and none of them notices.

What serves is the engine's double: the engine is not what is tested here.
"""

import pytest

pytestmark = pytest.mark.hosts


@pytest.fixture(scope="module")
def site(quick, lab, make_operator, make_site, tmp_path_factory):
    folder = tmp_path_factory.mktemp("operator")
    machines = quick(2)
    operator = make_operator(folder)
    (operator.work / "deploykit.yaml").write_text("patience: {no_progress_s: 6, completion_s: 5}\n")
    return make_site(machines, operator, lab.inventory(folder / "inventory.yml", machines))


@pytest.fixture(scope="module")
def first(site):
    """The first `up`."""
    return site.up()


def test_up_serves_from_both_through_the_gateway(first, site):
    assert first["endpoint"] == f"http://{site.machine.address}:8000"
    assert site.current() == first["release"]
    assert len(site.engines()) == 2
    assert site.ask() == 200
    assert site.ask(key="another") == 401
    assert site.machine.root("systemctl", "is-active", "deploykit-monitoring.service").strip() == "active"


def test_a_second_up_changes_nothing(first, site):
    before = site.engines()
    again = site.up()
    assert not again["changed"]
    assert site.engines() == before


def test_status_logs_and_doctor_tell_of_every_host(first, site):
    told = site.operator.run("status")
    assert told.returncode == 0, told.stderr
    assert told.stdout.count("running") >= 2
    assert "Loading checkpoint shards" in site.operator.run("logs").stdout
    looked = site.operator.run("doctor")
    assert looked.returncode == 0, looked.stdout + looked.stderr
    assert all(machine.name in looked.stdout for machine in site.machines)


def test_a_host_that_serves_is_not_taken_by_another_deployment(first, site):
    ran = site.operator.run("up", "qwen3-235b", "-i", str(site.inventory), "--no-measure")
    assert ran.returncode == 6
    assert "this host serves the deployment `deepseek-v4-flash-rehearsal`" in ran.stderr
    assert "`deploykit down deepseek-v4-flash-rehearsal` first" in ran.stderr
    assert not list(site.operator.home.rglob("qwen3-235b-rehearsal/record.json")), (
        "nothing is there to roll back or end"
    )
    assert site.current() == first["release"]
    assert site.locked() == []
    assert site.ask() == 200


def test_a_new_release_takes_the_place_of_the_old_one_without_a_lost_request(first, site):
    before = site.engines()
    with site.load() as seen:
        second = site.up("--set", "max-num-seqs=32")
    assert set(seen) == {200}, seen
    assert seen[200] > 20
    assert site.current() == second["release"] != first["release"]
    after = site.engines()
    assert before.keys() == after.keys()
    assert all(before[unit][1] != after[unit][1] for unit in before), "each was started from the new release"


@pytest.mark.parametrize(
    ("number", "says"),
    [(44, "engine : Wait until the engine has loaded"), (41, "HTTP 500"), (42, "does not answer"), (43, "no progress")],
    ids=["ends", "healthy_but_broken", "hangs", "silent"],
)
def test_a_release_that_cannot_serve_costs_no_request(first, site, number, says):
    release, before = site.current(), site.engines()
    site.in_service()  # on a slow machine the one before may still be looked at
    with site.load() as seen:
        said = site.failed("--set", f"max-num-seqs={number}")
    assert set(seen) == {200}, seen
    assert says in said
    assert f"release {release}, which served before, serves again: it answered a completion" in said
    # An engine that the gateway gives nothing just then is the first to be changed; it ends with the first, whichever it is.
    (tried,) = [machine.name for machine in site.machines if said.startswith(f"error: {machine.name}: ")]
    assert site.current() == release
    after = site.engines()
    untouched = [unit for unit in before if unit[0] != tried]
    assert [before[unit] for unit in untouched] == [after[unit] for unit in untouched], "the other was not touched"
    assert site.locked() == []


def test_a_rollback_costs_no_request(first, site):
    release = site.current()
    with site.load() as seen:
        back = site.operator.json("rollback")
    assert set(seen) == {200}, seen
    assert back["release"][:12] == site.current() != release


WATCHED = 'deploykit_engine_start_watched_time_seconds{engine_instance="engine-0"}'
METRICS = "import urllib.request as u; print(u.urlopen('http://127.0.0.1:9100/metrics').read().decode())"


@pytest.mark.parametrize("fault", ["unplugged", "powered_off"])
def test_a_host_that_is_gone_in_the_middle_leaves_the_other_serving(first, site, fault):
    """Lost is what the host was answering just then, one request of each caller at most."""
    away = site.machines[1]
    running = site.operator.start(*site.command("--set", "max-num-seqs=45"))
    site.until(running, "engine : Wait until the engine has loaded")
    site.wait_for("/opt/deploykit/metrics/engine-start.prom", running)
    assert WATCHED in site.machine.root("python3", "-c", METRICS), "EngineDown is silent"
    site.until(running, "engine : Send no more requests to engine-1")
    with site.load(callers=3, max_tokens=50) as seen, getattr(away, fault)():
        _out, said = running.communicate(timeout=300)
        assert running.returncode == 6
        assert f"{away.name} does not answer on {away.address}:22" in said
        assert "Traceback" not in said
        assert site.ask() == 200
    assert sum(seen.values()) - seen[200] <= 3, seen
    assert site.up()["release"] == site.current()
    assert WATCHED not in site.machine.root("python3", "-c", METRICS)
    assert {state for state, _ in site.engines().values()} == {"active"}
    assert site.ask() == 200
    assert site.locked() == []


def test_after_a_reboot_of_all_of_it_callers_are_answered(first, site):
    for machine in site.machines:
        machine.reboot()
    assert not site.up()["changed"]
    assert site.ask() == 200


PHASES = {
    "preflight": ["preflight : Check system"],
    "weights": ["weights : Copy the stand-in"],
    "stage": ["engine : Place the release"],
    "drain": ["engine : Send no more requests to engine-0"],
    "the first engine starts": ["engine : Wait until the engine has loaded"],
    "the second engine starts": [
        "engine : Send no more requests to engine-1",
        "engine : Wait until the engine has loaded",
    ],
    "gateway": ["gateway : Place the gateway's files"],
    "monitoring": ["monitoring : Start Prometheus"],
    "proof": ["monitoring : Start Prometheus", "verify : Get a completion"],
    "end": ["release : Keep what has answered"],
}
"""Phases of an `up`, and the tasks that have begun one after the other when it is killed there."""
BEFORE_THE_SWITCH = ("preflight", "weights", "stage")


def test_an_up_that_is_killed_in_any_phase_is_gone_on_with(first, site):
    """Each takes over from the one that was killed before it, and is killed in the next phase; the last one ends it."""
    more = ("--set", "max-num-seqs=64")  # a release that never served
    before = site.current()
    with site.load() as seen:
        for phase, tasks in PHASES.items():
            site.killed(*tasks, more=more)
            assert site.locked(), phase
            assert set(seen) == {200}, (phase, seen)
            if phase in BEFORE_THE_SWITCH:
                assert site.current() == before
        done = site.up(*more)
    assert set(seen) == {200}, seen
    assert site.current() == done["release"] != before
    assert site.locked() == []
    assert all(state == "active" for state, _ in site.engines().values())
    assert not site.up(*more)["changed"]


def test_down_stops_it_and_takes_the_keys_away(first, site):
    assert site.operator.run("down").returncode == 0
    assert {state for state, _ in site.engines().values()} <= {"inactive"}
    assert site.ask() == "URLError"
    for machine in site.machines:
        assert machine.root("sh", "-c", f"grep -rl {site.key} /opt/deploykit /etc /run /var/log || true") == ""
