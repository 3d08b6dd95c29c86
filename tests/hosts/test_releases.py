"""A model on a real host: served over SSH under systemd, broken, gone back to, ended. In the order of a life.

The engine is the real vLLM's CPU build with a stand-in. Bypassed is its download alone (see the fixture `serving`).
"""

import pytest

pytestmark = pytest.mark.hosts

BROKEN = ("--set", "load-format=safetensors")
"""The stand-in has no such files: the engine starts, looks for them, and ends. And again."""


@pytest.fixture(scope="module")
def site(serving, lab, make_operator, make_site, tmp_path_factory):
    folder = tmp_path_factory.mktemp("operator")
    machine = serving(1)[0]
    return make_site([machine], make_operator(folder), lab.inventory(folder / "inventory.yml", [machine]))


@pytest.fixture(scope="module")
def first(site):
    """The first `up`."""
    return site.up()


def test_up_serves_callers_with_the_key_from_a_hardened_unit(first, site):
    assert first["changed"]
    assert site.current() == first["release"]
    assert site.ask() == 200
    assert site.ask(key="another") == 401
    pid = site.engine()[1]
    user = site.machine.root("stat", "-c", "%u", f"/proc/{pid}").strip()
    assert 61184 <= int(user) <= 65519, "one of systemd's dynamic users"
    assert site.key not in site.machine.root("cat", f"/proc/{pid}/cmdline")
    assert site.key not in site.machine.root("grep", "-r", "", "/etc/systemd/system", check=False)

    for unit in ("engine-0", "gateway"):
        said = site.machine.root("systemd-analyze", "security", "--no-pager", f"deploykit-{unit}.service", check=False)
        exposure = float(said.splitlines()[-1].split(": ")[1].split()[0])
        assert exposure < 4.5, f"{unit}: {exposure}"


def test_a_second_up_changes_nothing(first, site):
    before = site.engine()
    again = site.up()
    assert not again["changed"]
    assert again["release"] == first["release"]
    assert site.engine() == before


def test_a_release_that_does_not_start_gives_way_to_the_one_before(
    first, site, make_operator, tmp_path, tmp_path_factory
):
    """Meanwhile another operator is refused, and told who is at work."""
    broken = site.operator.start(*site.command(*BROKEN))
    site.wait_for("/opt/deploykit/lock/holder.json", broken)
    other = make_operator(tmp_path_factory.mktemp("other"))
    other.port = site.operator.port
    refused = other.run(*site.command())
    _out, said = broken.communicate(timeout=600)
    assert refused.returncode == 6
    assert f"(process {broken.pid})" in refused.stderr
    assert broken.returncode == 6
    said = said[said.rindex("error: ") :]
    assert f"error: {site.machine.name}: engine : " in said
    assert f"release {first['release']}, which served before, serves again: it answered a completion" in said
    assert site.current() == first["release"]
    assert site.ask() == 200
    assert [line["event"] for line in site.audit()][-3:] == ["up failed", "restore begins", "restore"]


def test_down_stops_it_and_takes_the_key_away(first, site):
    assert site.operator.run("down").returncode == 0
    assert site.engine()[0] == "inactive"
    assert site.machine.root("ls", "/opt/deploykit/secrets") == "", "the key is taken away"
    assert site.machine.root("ls", "/opt/deploykit/lock", check=False) == ""
    assert site.audit()[-1]["event"] == "down"
