"""One host with the engine's double: drift, differences, a full disk, a command that is killed."""

import signal

import pytest

pytestmark = pytest.mark.hosts


@pytest.fixture(scope="module")
def site(quick, lab, make_operator, make_site, tmp_path_factory):
    folder = tmp_path_factory.mktemp("operator")
    machine = quick(1)[0]
    operator = make_operator(folder)
    (operator.work / "deploykit.yaml").write_text("monitoring: {enabled: false}\n")
    return make_site([machine], operator, lab.inventory(folder / "inventory.yml", [machine]))


@pytest.fixture(scope="module")
def first(site):
    """The first `up`."""
    return site.up()


def test_what_was_changed_by_hand_is_named_and_mended(first, site):
    def drift():
        shown = site.operator.json("diff", "-i", str(site.inventory), "--live")
        return shown["drift"][site.machine.name]

    assert drift() == []
    unit = "/etc/systemd/system/deploykit-engine-0.service"
    site.machine.root("sh", "-c", f"echo '# by hand' >> {unit}")
    assert drift() == [f"{unit} was changed"]
    assert site.up()["changed"]
    assert drift() == []
    assert site.ask() == 200


def test_a_diff_names_what_up_would_change(first, site):
    def diff(*more):
        return site.operator.json("diff", "-i", str(site.inventory), *more)["diff"][site.machine.name]

    assert diff() == ""
    assert "+max-num-seqs: 32" in diff("--set", "max-num-seqs=32")


def test_a_full_disk_leaves_what_serves(first, site):
    with site.machine.full_disk():
        said = site.failed("--set", "max-num-seqs=48")
    assert site.machine.name in said
    assert "No space left on device" in said
    assert "df -h" in said
    assert site.current() == first["release"]
    assert site.ask() == 200
    assert not site.up()["measured_now"]


def test_an_up_that_was_killed_is_gone_on_with(first, site):
    before = site.engine()
    killed = site.operator.start(*site.command("--set", "max-num-seqs=48"))
    site.wait_for("/opt/deploykit/lock/holder.json", killed)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    assert site.up()["release"] == first["release"]
    assert site.engine() == before
    assert site.ask() == 200


def test_down_leaves_nothing_that_serves(first, site):
    assert site.operator.run("down").returncode == 0
    assert site.engine()[0] == "inactive"
    assert site.ask() == "URLError"
