"""What follows a change that failed on hosts: what served before is asked for, and the sentence says what serves now."""

from types import SimpleNamespace

import pytest

from deploykit.deploying.deployment import HostOutcome, TaskFailure
from deploykit.errors import DeploymentError, UsageError
from deploykit.rendering.bundle import Bundle, BundleFile
from deploykit.workflows.ports import PlaybookResult
from deploykit.workflows.restore import NOTHING, UNTOUCHED, give_up
from deploykit.workflows.rollback import choose, differences

BEFORE = {"name": "b" * 12, "release": "b" * 64, "variables": "verify_model: old\nengine_instances: []\n"}
NOW = {"verify_model": "new", "deploykit_root": "/opt/deploykit", "deploykit_holder": {"token": "t"}}


class Playbooks:
    """Hosts that say what to go back to, and a playbook that goes there or fails."""

    def __init__(self, told, *, failure=None, silent=False):
        self.told, self.failure, self.silent, self.ran = told, failure, silent, []

    def run(self, playbook, *, variables, **_):
        self.ran.append((playbook, dict(variables)))
        if self.silent:
            raise DeploymentError("Ansible could not run")
        host = HostOutcome(host="node1", ok=1, changed=0, failed=0)
        if playbook == "rollback.yml" and self.failure:
            failed = (TaskFailure(host="node1", role="verify", task="Ask", message=self.failure),)
            return PlaybookResult(status="failed", hosts=(host,), failures=failed)
        facts = self.told if playbook == "abandon.yml" else {}
        return PlaybookResult(status="successful", hosts=(host,), facts=facts)


def gave_up(playbooks, tmp_path):
    quiet = SimpleNamespace(begin=print, done=print, note=print, task=print)
    world = SimpleNamespace(playbooks=playbooks, reporter=quiet, secrets={})
    return give_up(tmp_path / "inventory.yml", NOW, tmp_path, world)


def test_the_release_before_is_started_with_its_own_variables(tmp_path):
    playbooks = Playbooks({"node1": {"restore": BEFORE, "switched": True}})
    assert "bbbbbbbbbbbb, which served before, serves again" in gave_up(playbooks, tmp_path)
    name, variables = playbooks.ran[-1]
    assert name == "rollback.yml"
    assert variables["verify_model"] == "old"
    assert variables["deploykit_release"] == "b" * 64
    assert variables["deploykit_root"] == "/opt/deploykit"
    assert variables["deploykit_holder"] == {"token": "t"}
    assert variables["release_event"] == "restore"


def test_a_release_that_does_not_come_back_is_said(tmp_path):
    playbooks = Playbooks({"node1": {"restore": BEFORE, "switched": True}}, failure="port 8001 does not answer")
    assert "does not come back: node1: verify : Ask: port 8001 does not answer" in gave_up(playbooks, tmp_path)


@pytest.mark.parametrize(("switched", "says"), [(True, NOTHING), (False, UNTOUCHED)])
def test_nothing_to_go_back_to(tmp_path, switched, says):
    playbooks = Playbooks({"node1": {"restore": None, "switched": switched}})
    assert gave_up(playbooks, tmp_path) == says
    assert [name for name, _ in playbooks.ran] == ["abandon.yml"]


def test_hosts_that_do_not_answer_are_no_second_error(tmp_path):
    assert "unknown" in gave_up(Playbooks({}, silent=True), tmp_path)


def hosts(*names, current="c" * 12, other=None):
    told = {"current": current, "releases": [{"name": n, "release": n * 5, "at": "2026"} for n in names]}
    kept = told if other is None else told | {"releases": [r for r in told["releases"] if r["name"] in other]}
    return {"node1": told, "node2": kept}


C, B, A = "c" * 12, "b" * 12, "a" * 12


def test_the_way_back_is_the_release_before_the_current_one():
    assert choose(hosts(C, B, A), None)["name"] == B
    assert choose(hosts(C, B, A), "aaa")["name"] == A
    assert choose(hosts(C, B, A), "a" * 64)["name"] == A


def test_a_release_that_one_host_lacks_is_no_way_back():
    assert choose(hosts(C, B, A, other=(C, A)), None)["name"] == A
    for wanted in ("bbb", None):
        with pytest.raises(UsageError) as caught:
            choose(hosts(C, B, other=(C,)), wanted)
        assert C in str(caught.value.hint)


def test_a_diff_has_what_was_changed_added_and_removed_and_no_manifest():
    bundle = Bundle(files=tuple(BundleFile(path=p, content=c, purpose="") for p, c in (("a", "1\n2\n"), ("new", "n"))))
    served = {"a": "1\n3\n", "old": "o\n", "manifest.json": "{}"}
    text = differences(bundle, {"node1": {"files": served}})["node1"]
    assert "-3\n+2\n" in text
    assert "+n\n" in text
    assert "-o\n" in text
    assert "manifest" not in text
    assert differences(bundle, {"node1": {"files": {"a": "1\n2\n", "new": "n"}}}) == {"node1": ""}
