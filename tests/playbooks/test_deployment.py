"""The change of a release on one host: whose the host is, and whether its engines can be switched one after the other."""

import json

import pytest

INSTANCES = [{"name": "engine-0", "port": 8001, "node_index": 0}, {"name": "engine-1", "port": 8002, "node_index": 0}]
SERVES = {"deployment": "chat", "model": "big-moe", "instances": INSTANCES}
HOLDER = {"user": "ana", "host": "laptop", "pid": 7, "token": "t"}


class FailedError(Exception):
    pass


class Asked:
    """An AnsibleModule, as far as ours uses it."""

    def __init__(self, **params):
        self.params = params

    def fail_json(self, msg, **_more):
        raise FailedError(msg)

    def run_command(self, command):
        return 0, "", ""


@pytest.fixture
def deployment(module, monkeypatch, tmp_path):
    found = module("deploykit_deployment")
    units = tmp_path / "units"
    units.mkdir()
    monkeypatch.setattr(module("deploykit_releases"), "UNITS", str(units))
    monkeypatch.setattr(found, "show", lambda _unit: {"ActiveState": "active", "MainPID": "1"})
    return found


@pytest.fixture
def begin(deployment, tmp_path):
    """What `begin` says on a host where a release serves already."""
    root = tmp_path / "root"
    folder = root / "releases" / ("a" * 12)
    folder.mkdir(parents=True)
    unit = "/etc/systemd/system/deploykit-engine-0.service"
    served = {"at": "2026-01-01T00:00:00Z", "wanted": "w", "release": "a" * 64, "serves": SERVES,
              "observed": {"bundle": {}, "units": {unit: "x"}, "secrets": {}, "weights": {}}}  # fmt: skip
    (folder / "served.json").write_text(json.dumps(served))
    (root / "current").symlink_to(f"releases/{'a' * 12}")

    def ask(**serves):
        asked = Asked(
            root=str(root), holder=HOLDER, instead_of=None, release="b" * 64, wanted="w2", event="up",
            serves=SERVES | serves,
        )  # fmt: skip
        return deployment.Host(asked).begin()

    ask.root = root
    return ask


def test_engines_that_stay_the_same_can_be_switched_one_after_the_other(begin):
    said = begin()
    assert said["same_engines"]
    assert not said["settled"]
    assert json.loads((begin.root / "pending.json").read_text())["previous"] == "a" * 12


@pytest.mark.parametrize("serves", [{"model": "other"}, {"instances": INSTANCES[:1]}])
def test_another_model_or_layout_is_switched_at_once(begin, serves):
    assert not begin(**serves)["same_engines"]


def test_a_host_that_serves_another_deployment_is_not_taken_over(begin):
    with pytest.raises(FailedError, match=r"serves the deployment `chat` .* this is `chat-rehearsal`.*down chat"):
        begin(deployment="chat-rehearsal")
    assert not (begin.root / "lock").exists(), "the lock is freed"
    assert not (begin.root / "pending.json").exists()


def cut_off_after_its_switch(begin):
    """As `up` leaves a host when it is killed while the new release starts."""
    (begin.root / "pending.json").write_text(json.dumps({"release": "b" * 12, "previous": "a" * 12, "switched": True}))
    (begin.root / "current").unlink()
    (begin.root / "current").symlink_to(f"releases/{'b' * 12}")


def test_a_change_that_was_cut_off_goes_on_one_engine_after_the_other(begin):
    """The other replicas serve on with the release before, and must not be restarted all together."""
    cut_off_after_its_switch(begin)
    said = begin()
    assert said["same_engines"]
    assert said["serving"]
    assert json.loads((begin.root / "pending.json").read_text())["previous"] == "a" * 12


def test_a_change_that_was_cut_off_does_not_give_the_host_away(begin):
    cut_off_after_its_switch(begin)
    with pytest.raises(FailedError, match="serves the deployment `chat`"):
        begin(deployment="chat-rehearsal")


def test_what_is_down_is_nobody_s(begin, deployment, monkeypatch):
    monkeypatch.setattr(deployment, "show", lambda _unit: {"ActiveState": "inactive", "MainPID": "0"})
    said = begin(deployment="other")
    assert said["same_engines"]
    assert not said["serving"], "all are started together"


def test_monitoring_that_is_down_is_no_reason_not_to_go_back(begin, deployment, monkeypatch):
    """A release is gone back to if its engines served: what watches them may have ended long before."""
    states = {"deploykit-engine-0.service": "active", "deploykit-engine-1.service": "active"}
    monkeypatch.setattr(deployment, "show", lambda unit: {"ActiveState": states.get(unit, "failed"), "MainPID": "0"})
    begin()
    assert json.loads((begin.root / "pending.json").read_text())["previous"] == "a" * 12


def test_services_of_an_earlier_deployment_go_when_this_one_has_answered(begin, deployment, tmp_path):
    begin()
    folder = begin.root / "releases" / ("b" * 12)
    folder.mkdir()
    for name in ("engine-0", "engine-1", "gateway", "monitoring", "node-exporter"):
        (tmp_path / "units" / f"deploykit-{name}.service").write_text("[Service]\n")
    wanted = SERVES | {"services": ["gateway"]}
    asked = Asked(root=str(begin.root), holder=HOLDER, release="b" * 64, wanted="w2", event="up", keep=3, serves=wanted)
    deployment.Host(asked).finish()
    left = {path.name for path in (tmp_path / "units").iterdir()}
    assert left == {f"deploykit-{name}.service" for name in ("engine-0", "engine-1", "gateway")}
    served = json.loads((folder / "served.json").read_text())
    assert {path.rsplit("/", 1)[1] for path in served["observed"]["units"]} == left
