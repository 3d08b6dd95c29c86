import datetime as dt

import pytest

from deploykit.deploying.deployment import HostOutcome, TaskFailure
from deploykit.deploying.outcome import deployment_from, failure_error
from deploykit.errors import DeploymentError
from deploykit.workflows.ports import PlaybookResult

STARTED = dt.datetime(2026, 1, 2, tzinfo=dt.UTC)
FACTS = {"engine_version": "0.32.0", "num_gpu_blocks": 2427, "block_size": 128, "kv_cache_tokens": 310656}


def make_result(**changes):
    host = HostOutcome(host="node1", ok=5, changed=0, failed=0)
    return PlaybookResult(**{"status": "successful", "hosts": (host,), "facts": {"node1": FACTS}} | changes)


def make_failure(**changes):
    fields = {"host": "node1", "role": "engine", "task": "Start", "message": "it broke", "output": "line 1\nline 2"}
    return TaskFailure(**fields | changes)


def deployed(result):
    return deployment_from(
        result, bundle_digest="d", endpoint="http://x:1", served_model_name="m", started_at=STARTED, seconds=2.5
    )


def test_a_good_run_is_a_deployment():
    deployment = deployed(make_result())
    assert deployment.engine_version == "0.32.0"
    assert deployment.memory.kv_cache_tokens == 310656
    assert deployment.memory.gpu_blocks == 2427
    assert not deployment.changed


def test_what_the_engine_did_not_say_stays_unknown():
    facts = {"engine_version": "1", "num_gpu_blocks": None, "block_size": "x", "kv_cache_tokens": True}
    memory = deployed(make_result(facts={"node1": facts})).memory
    assert (memory.gpu_blocks, memory.block_size, memory.kv_cache_tokens) == (None, None, None)


def test_facts_of_a_later_host_count_when_the_first_has_no_engine():
    assert deployed(make_result(facts={"node0": {"preflight": []}, "node1": FACTS})).memory.block_size == 128


def test_no_engine_heard_is_an_error():
    with pytest.raises(DeploymentError, match="no engine was asked"):
        deployed(make_result(facts={"node1": {"preflight": []}}))


def test_a_failure_names_host_role_task_and_shows_its_output():
    with pytest.raises(DeploymentError) as caught:
        deployed(make_result(status="failed", failures=(make_failure(),)))
    assert str(caught.value) == "error: node1: engine : Start: it broke\n\n  | line 1\n  | line 2"


def test_a_message_of_many_lines_is_its_own_evidence():
    error = failure_error(make_result(failures=(make_failure(message="2 checks failed:\nram: 1\nport: 2"),)))
    assert error.what.endswith("2 checks failed:")
    assert error.detail == "ram: 1\nport: 2"


def test_a_task_outside_of_a_role():
    assert failure_error(make_result(failures=(make_failure(role=None),))).what == "node1: Start: it broke"


def test_an_unreachable_host_is_a_plain_sentence():
    failure = make_failure(unreachable=True, message="node1 does not answer on 10.0.0.1:22.", output="")
    error = failure_error(make_result(status="failed", failures=(failure,)))
    assert error.what == "node1 does not answer on 10.0.0.1:22."
    assert error.detail is None
    assert error.hint


def test_other_hosts_that_failed_are_named():
    failures = (make_failure(), make_failure(host="node2"), make_failure(host="node1"))
    assert failure_error(make_result(failures=failures)).hint == "failed too: node2"


def test_output_is_cut_to_its_last_lines():
    output = "\n".join(f"line {n}" for n in range(40))
    assert failure_error(make_result(failures=(make_failure(output=output),))).detail.splitlines()[0] == "line 25"


@pytest.mark.parametrize("status", ["failed", "canceled"])
def test_an_end_without_a_reason_is_no_success(status):
    assert status in failure_error(make_result(status=status)).what


def test_a_timeout_says_so():
    assert "too long" in failure_error(make_result(status="timeout")).what


def test_a_host_that_failed_is_no_success_whatever_the_status():
    host = HostOutcome(host="node1", ok=1, changed=0, failed=1)
    assert "node1" in failure_error(make_result(hosts=(host,))).what


def test_a_good_run_has_no_error():
    assert failure_error(make_result()) is None


@pytest.mark.parametrize(
    ("message", "mend"),
    [
        ("Missing sudo password", "/etc/sudoers.d"),
        ("The module interpreter '/usr/bin/python3' was not found.", "apt install python3"),
        ("ops@10.0.0.2: Permission denied (publickey).", "ansible_ssh_private_key_file"),
        ("Host key verification failed.", "ssh-keygen -R"),
        ("cannot place the release: No space left on device", "df -h"),
    ],
)
def test_what_can_be_mended_comes_with_the_mend(message, mend):
    other = make_failure(host="node2")
    error = failure_error(make_result(status="failed", failures=(make_failure(message=message), other)))
    assert mend in str(error.hint)
    assert "failed too: node2" in str(error.hint)


def test_an_image_by_tag_is_told_as_not_pinned():
    facts = {"node1": FACTS | {"image_digest": "sha256:abc"}}
    arguments = {
        "bundle_digest": "d",
        "endpoint": "http://x:1",
        "served_model_name": "m",
        "started_at": STARTED,
        "seconds": 1,
    }
    by_tag = deployment_from(make_result(facts=facts), **arguments, image="docker.io/acme/vllm:v1")
    assert by_tag.image.digest == "sha256:abc"
    assert not by_tag.image.pinned
    (caveat,) = by_tag.caveats
    assert (
        caveat.says
        == "The engine's image is named by a tag, docker.io/acme/vllm:v1, which can be moved; it was sha256:abc."
    )
    pinned = deployment_from(make_result(), **arguments, image="docker.io/acme/vllm@sha256:" + "0" * 64)
    assert (pinned.image.pinned, pinned.image.digest, pinned.caveats) == (True, None, ())
    assert deployed(make_result()).image is None
