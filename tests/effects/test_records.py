"""What is kept of a deployment beside its record."""

import json

import pytest

from deploykit.deploying.record import DeploymentRecord
from deploykit.effects.records import Records
from deploykit.intent import CallerIntent


@pytest.fixture
def records(tmp_path):
    return Records(tmp_path / "data")


def test_the_root_stays_with_the_deployment_when_its_run_is_gone(records, tmp_path):
    root = tmp_path / "run" / "gateway-ca.pem"
    assert records.keep_authority("one", root) is None
    root.parent.mkdir()
    root.write_text("first")
    kept = records.keep_authority("one", root)
    assert kept == tmp_path / "data/deployments/one/gateway-ca.pem"
    root.unlink()
    assert records.keep_authority("one", root) == kept
    assert kept.read_text() == "first"
    root.write_text("second")
    assert records.keep_authority("one", root).read_text() == "second"
    assert records.keep_authority("two", tmp_path / "no run" / "ca.pem") is None


def test_a_record_of_an_earlier_version_is_read(records):
    made = DeploymentRecord(
        name="one", model="m", node="n", rehearsal=False, release="a" * 64, run="r", inventory="i", variables={},
        callers=(CallerIntent(name="a", command="op read x"),), authority="/x/ca.pem",
    )  # fmt: skip
    records.save(made)
    assert records.get("one") == made
    file = records.folder("one") / "record.json"
    old = {name: value for name, value in json.loads(file.read_text()).items() if name not in {"callers", "authority"}}
    file.write_text(json.dumps(old))
    assert (records.get("one").callers, records.get("one").authority) == ((), None)
