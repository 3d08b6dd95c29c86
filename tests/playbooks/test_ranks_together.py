"""The ranks of an engine over several nodes: none is up before all are, and one that has died ends the wait for all."""

import importlib.util

import pytest
from ansible.errors import AnsibleConnectionFailure

HOSTS = ("node1", "node2")


@pytest.fixture
def look(playbooks, tmp_path):
    """What a look at a host comes to, given what the module says there or raises."""
    path = playbooks / "action_plugins/deploykit_engine.py"
    spec = importlib.util.spec_from_file_location("deploykit_engine_action", path)
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)

    class Action(loaded.ActionModule):
        def __init__(self, arguments, said):
            self._task = type("Task", (), {"args": arguments, "async_val": 0, "check_mode": False})()
            self.arguments, self.said = None, said

        def _execute_module(self, module_args, **_more):
            self.arguments = module_args
            if isinstance(self.said, Exception):
                raise self.said
            return dict(self.said)

    def ask(host, said, *, together=True, name="rank-1"):
        arguments = {"instances": [{"name": name}]} | ({"together": str(tmp_path / "ranks")} if together else {})
        action = Action(arguments, said)
        loaded.ActionBase.run = lambda *_: {}
        result = action.run(None, {"inventory_hostname": host, "ansible_play_hosts": HOSTS})
        assert "together" not in (action.arguments or {}), "the module on the host knows nothing of it"
        return result

    base = loaded.ActionBase.run
    yield ask
    loaded.ActionBase.run = base


READY = {"ready": True, "dead": [], "msg": ""}
WAITING = {"ready": False, "dead": [], "msg": "rank-0 is loading"}
DIED = {"failed": True, "ready": False, "dead": ["rank-1"], "msg": "rank-1 died while it was starting (exit status 1)"}


def test_a_rank_that_runs_waits_until_the_one_that_listens_answers(look):
    waits = look("node2", READY)
    assert not waits["ready"]
    assert waits["msg"] == "ready; waits for node1"
    assert look("node1", WAITING) == WAITING
    assert look("node1", READY)["ready"]
    assert look("node2", READY)["ready"]


def test_a_rank_that_died_ends_the_wait_for_the_others(look):
    assert look("node2", DIED) == DIED
    other = look("node1", WAITING, name="rank-0")
    assert other["failed"]
    assert other["dead"] == ["rank-0"], "it is not asked again"
    assert other["msg"] == f"rank-0 is given up with the other ranks: node2: {DIED['msg']}"


def test_a_host_that_does_not_answer_ends_the_wait_too(look):
    with pytest.raises(AnsibleConnectionFailure):
        look("node2", AnsibleConnectionFailure("timed out"))
    assert "node2: it does not answer" in look("node1", WAITING)["msg"]


def test_engines_of_one_node_each_know_nothing_of_each_other(look):
    assert look("node1", DIED, together=False) == DIED
    assert look("node2", READY, together=False) == READY
