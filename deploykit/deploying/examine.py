"""How a playbook that looks at hosts ended -> an Examination; and the one error that a blocker makes of it."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from pydantic import ValidationError

from deploykit.deploying.finding import Examination, Finding, HostFindings, by_severity
from deploykit.errors import DeploymentError

if TYPE_CHECKING:
    from deploykit.workflows.ports import PlaybookResult

NOT_LOOKED_AT = "look at the log, mend it and run the same command again"


def examination(
    result: "PlaybookResult",
    *,
    keys: Sequence[str],
    hosts: Sequence[str] = (),
    said: Mapping[str, str] | None = None,
) -> Examination:
    """Return what all hosts published under `keys`; a host that published nothing is a blocker of its own.

    Args:
        result: how the playbook ended.
        keys: names of the published lists of findings.
        hosts: the hosts that should have been looked at; those of the result, if none are given.
        said: by host, the last thing a task that failed there said.

    """
    away = {failure.host: failure.message for failure in result.failures if failure.unreachable}
    names = dict.fromkeys([*hosts, *(outcome.host for outcome in result.hosts), *result.facts, *away])
    failed = {failure.host: failure.message for failure in result.failures if not failure.unreachable}
    looked = []
    for name in names:
        found = _published(result.facts.get(name, {}), keys)
        if name in away:
            mend = "check address, key and host key: `ssh` must get in without a question"
            found.append(Finding(severity="blocker", check="ssh", evidence=away[name], mend=mend))
        elif not found:
            why = (said or {}).get(name) or failed.get(name) or "the host was not looked at"
            found.append(Finding(severity="blocker", check="look", evidence=why, mend=NOT_LOOKED_AT))
        looked.append(HostFindings(host=name, findings=by_severity(found)))
    return Examination(hosts=tuple(looked))


def _published(facts: Mapping[str, object], keys: Sequence[str]) -> list[Finding]:
    found = []
    for key in keys:
        listed = facts.get(key)
        for item in listed if isinstance(listed, list) else []:
            try:
                found.append(Finding.model_validate(item))
            except ValidationError:
                evidence = f"a finding of another form: {str(item)[:200]}"
                found.append(Finding(severity="warning", check="look", evidence=evidence))
    return found


def blocked_error(found: Examination) -> DeploymentError:
    """Return the error of hosts that must be mended first, with every blocker and warning of every host."""
    blockers = found.count("blocker")
    lines = [
        f"{host.host}  {finding.severity}  {finding.check}: {finding.evidence}"
        + (f"\n    mend: {finding.mend}" if finding.mend else "")
        for host in found.hosts
        for finding in host.findings
        if finding.severity in {"blocker", "warning"}
    ]
    things = "1 thing" if blockers == 1 else f"{blockers} things"
    return DeploymentError(
        f"{things} must be mended first, on {len(found.blocked)} of {len(found.hosts)} hosts: {', '.join(found.blocked)}",
        detail="\n".join(lines),
        hint="nothing was changed; `deploykit preflight` looks again",
    )
