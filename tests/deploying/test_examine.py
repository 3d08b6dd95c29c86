"""Published findings of every host -> one examination; a host that published none is a finding itself."""

from deploykit.deploying.deployment import HostOutcome, TaskFailure
from deploykit.deploying.examine import blocked_error, examination
from deploykit.deploying.outcome import failure_error
from deploykit.workflows.ports import PlaybookResult

INFO = {"severity": "info", "check": "python", "evidence": "3.11", "mend": ""}
WARNING = {"severity": "warning", "check": "clock", "evidence": "not synchronised", "mend": "enable chrony"}
BLOCKER = {"severity": "blocker", "check": "gpu count", "evidence": "7 of 8 GPUs", "mend": "power cycle"}


def make_result(facts, failures=()):
    hosts = tuple(HostOutcome(host=name, ok=1, changed=0, failed=0) for name in facts)
    return PlaybookResult(status="failed" if failures else "successful", hosts=hosts, facts=facts, failures=failures)


def away(host):
    return TaskFailure(host=host, role="preflight", task="Log in", message=f"{host} does not answer", unreachable=True)


STOP = TaskFailure(host="a", role="preflight", task="Stop at what must be mended first", message="2 of 3 hosts")


def test_findings_are_told_worst_first_for_every_host():
    found = examination(
        make_result({"a": {"preflight": [INFO, WARNING, BLOCKER]}, "b": {"preflight": [INFO]}}), keys=("preflight",)
    )
    assert [finding.severity for finding in found.hosts[0].findings] == ["blocker", "warning", "info"]
    assert found.blocked == ("a",)
    assert found.count("info") == 2


def test_several_lists_of_a_host_are_one():
    found = examination(make_result({"a": {"doctor": [WARNING], "preflight": [INFO]}}), keys=("doctor", "preflight"))
    assert [finding.check for finding in found.hosts[0].findings] == ["clock", "python"]


def test_a_host_that_does_not_answer_is_a_blocker_among_the_others():
    found = examination(
        make_result({"a": {"preflight": [INFO]}}, (away("c"),)), keys=("preflight",), hosts=("a", "b", "c")
    )
    assert {host.host: host.findings[0].check for host in found.hosts} == {"a": "python", "b": "look", "c": "ssh"}
    assert found.blocked == ("b", "c")


def test_a_host_that_published_nothing_says_the_last_thing_that_was_heard():
    found = examination(make_result({}), keys=("preflight",), hosts=("a",), said={"a": "Missing sudo password"})
    assert found.hosts[0].findings[0].evidence == "Missing sudo password"


def test_findings_of_another_form_are_not_lost():
    found = examination(make_result({"a": {"preflight": [{"status": "pass"}, 7]}}), keys=("preflight",))
    assert [finding.severity for finding in found.hosts[0].findings] == ["warning", "warning"]


def test_the_error_has_every_blocker_and_warning_of_every_host():
    facts = {"a": {"preflight": [INFO, WARNING, BLOCKER]}, "b": {"preflight": [BLOCKER]}}
    error = blocked_error(examination(make_result(facts), keys=("preflight",)))
    assert error.what == "2 things must be mended first, on 2 of 2 hosts: a, b"
    assert error.detail == (
        "a  blocker  gpu count: 7 of 8 GPUs\n    mend: power cycle\n"
        "a  warning  clock: not synchronised\n    mend: enable chrony\n"
        "b  blocker  gpu count: 7 of 8 GPUs\n    mend: power cycle"
    )


def test_up_that_stops_at_preflight_fails_once_with_all_of_it():
    error = failure_error(make_result({"a": {"preflight": [BLOCKER]}, "b": {"preflight": [INFO]}}, (away("c"), STOP)))
    assert error is not None
    assert "on 2 of 3 hosts: a, c" in error.what
    assert "c does not answer" in (error.detail or "")


def test_a_preflight_that_could_not_start_keeps_its_own_error():
    wrong = TaskFailure(host="a", role="preflight", task="Check the role's variables", message="no such option")
    error = failure_error(make_result({"a": {"preflight": [INFO]}}, (wrong,)))
    assert error is not None
    assert "no such option" in error.what
