"""A model on a real host: served over SSH under systemd, changed, broken, gone back to. In the order of a life.

The engine is the real vLLM's CPU build with a stand-in. Bypassed is its download alone (see the fixture `serving`).
"""

import json
import signal
import time
import urllib.error
import urllib.request

import pytest

pytestmark = pytest.mark.hosts

BROKEN = ("--set", "load-format=safetensors")
"""The stand-in has no such files: the engine starts, looks for them, and ends. And again."""


class Site:
    """A host, and the operator who deploys to it."""

    def __init__(self, machine, operator, inventory):
        self.key = operator.extra["DEPLOYKIT_API_KEY"]
        self.machine, self.operator, self.inventory = machine, operator, inventory

    def up(self, *more):
        return self.operator.json("up", "-i", str(self.inventory), "--no-measure", *more)

    def engine(self):
        """Return systemd's word for the engine and its process."""
        said = self.machine.root("systemctl", "show", "deploykit-engine-0.service", "--property=ActiveState,MainPID")
        return dict(line.split("=") for line in said.split())

    def ask(self, key=None):
        """Ask for a completion, as a caller from outside does; return the status."""
        body = {"model": "deepseek-v4-flash", "max_tokens": 2, "messages": [{"role": "user", "content": "ok"}]}
        request = urllib.request.Request(
            f"http://{self.machine.address}:{self.operator.port}/v1/chat/completions",
            data=json.dumps(body).encode(),
            headers={"Content-Type": "application/json", "Authorization": f"Bearer {key or self.key}"},
        )
        try:
            with urllib.request.urlopen(request, timeout=120) as answer:
                return answer.status
        except urllib.error.HTTPError as error:
            error.close()
            return error.code

    def current(self):
        return self.machine.root("readlink", "/opt/deploykit/current").strip().removeprefix("releases/")

    def audit(self):
        return [json.loads(line) for line in self.machine.root("cat", "/opt/deploykit/audit.log").splitlines()]

    def wait_for(self, path, process):
        """Wait until a file is on the host while a command runs."""
        end = time.monotonic() + 120
        while self.machine.root("ls", path, check=False) == "":
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < end
            time.sleep(0.1)


@pytest.fixture(scope="module")
def site(serving, lab, make_operator, tmp_path_factory):
    folder = tmp_path_factory.mktemp("operator")
    machine = serving(1)[0]
    return Site(machine, make_operator(folder), lab.inventory(folder / "inventory.yml", [machine]))


@pytest.fixture(scope="module")
def first(site):
    """The first `up`."""
    return site.up()


def test_up_serves_callers_with_the_key_from_a_hardened_unit(first, site):
    assert first["changed"]
    assert site.current() == first["release"]
    assert site.ask() == 200
    assert site.ask(key="another") == 401
    pid = site.engine()["MainPID"]
    user = site.machine.root("stat", "-c", "%u", f"/proc/{pid}").strip()
    assert 61184 <= int(user) <= 65519, "one of systemd's dynamic users"
    assert site.key not in site.machine.root("cat", f"/proc/{pid}/cmdline")
    assert site.key not in site.machine.root("grep", "-r", "", "/etc/systemd/system", check=False)


def test_a_second_up_changes_nothing(first, site):
    before = site.engine()
    again = site.up()
    assert not again["changed"]
    assert again["release"] == first["release"]
    assert site.engine() == before


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
        ran = site.operator.run("up", "-i", str(site.inventory), "--no-measure", "--set", "max-num-seqs=48")
    assert ran.returncode == 6, ran.stderr
    said = ran.stderr[ran.stderr.rindex("error: ") :]
    assert site.machine.name in said
    assert "No space left on device" in said
    assert "df -h" in said
    assert site.current() == first["release"]
    assert site.ask() == 200
    assert not site.up()["measured_now"]


def test_an_up_that_was_killed_is_gone_on_with(first, site):
    before = site.engine()
    killed = site.operator.start("up", "-i", str(site.inventory), "--no-measure", "--set", "max-num-seqs=48")
    site.wait_for("/opt/deploykit/lock/holder.json", killed)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    assert site.up()["release"] == first["release"]
    assert site.engine() == before
    assert site.ask() == 200


def test_a_release_that_does_not_start_gives_way_to_the_one_before(first, site, make_operator, tmp_path):
    """Meanwhile another operator is refused, and told who is at work."""
    broken = site.operator.start("up", "-i", str(site.inventory), "--no-measure", *BROKEN)
    site.wait_for("/opt/deploykit/lock/holder.json", broken)
    other = make_operator(tmp_path)
    other.port = site.operator.port
    refused = other.run("up", "-i", str(site.inventory), "--no-measure")
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


def test_a_rollback_serves_the_release_before(first, site):
    second = site.up("--set", "max-num-seqs=32")
    assert site.current() == second["release"] != first["release"]
    back = site.operator.json("rollback")
    assert back["release"].startswith(first["release"])
    assert site.current() == first["release"]
    assert site.ask() == 200
    assert site.audit()[-1]["event"] == "rollback"


def test_down_stops_it_and_takes_the_key_away(first, site):
    assert site.operator.run("down").returncode == 0
    assert site.engine()["ActiveState"] == "inactive"
    assert site.machine.root("ls", "/opt/deploykit/secrets") == "", "the key is taken away"
    assert site.machine.root("ls", "/opt/deploykit/lock", check=False) == ""
    assert site.audit()[-1]["event"] == "down"
