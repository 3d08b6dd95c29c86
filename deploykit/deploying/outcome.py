"""How a playbook ended -> a Deployment, or the one error that says why not."""

import datetime as dt
from collections.abc import Mapping
from typing import TYPE_CHECKING

from deploykit.deploying.deployment import Deployment, EngineMemory, HostOutcome, TaskFailure
from deploykit.deploying.examine import blocked_error, examination
from deploykit.errors import DeploymentError

if TYPE_CHECKING:
    from deploykit.workflows.ports import PlaybookResult


def deployment_from(
    result: "PlaybookResult",
    *,
    bundle_digest: str,
    endpoint: str,
    served_model_name: str,
    started_at: dt.datetime,
    seconds: float,
) -> Deployment:
    """Return what was deployed; raises DeploymentError if a task failed or no engine was heard."""
    error = failure_error(result)
    if error is not None:
        raise error
    answered = [facts for facts in result.facts.values() if facts.get("engine_version")]
    if not answered:
        raise DeploymentError(
            "the playbook ended well, but no engine was asked for a completion",
            hint="the inventory's group `nodes` must hold the hosts of the plan",
        )
    first = answered[0]
    return Deployment(
        bundle_digest=bundle_digest,
        hosts=result.hosts,
        endpoint=endpoint,
        served_model_name=served_model_name,
        engine_version=str(first["engine_version"]),
        memory=EngineMemory(
            kv_cache_tokens=_whole(first, "kv_cache_tokens"),
            gpu_blocks=_whole(first, "num_gpu_blocks"),
            block_size=_whole(first, "block_size"),
        ),
        started_at=started_at,
        seconds=seconds,
    )


def failure_error(result: "PlaybookResult") -> DeploymentError | None:
    """Return the error of a playbook that did not end well, made of its first failure; None if it did."""
    if any(failure.role == "preflight" for failure in result.failures):
        looked = examination(result, keys=("preflight",))
        if looked.blocked:
            return blocked_error(looked)
    if result.failures:
        return _error(result.failures[0], result.failures[1:])
    if result.status == "timeout":
        return DeploymentError(
            "the playbook took too long and was ended",
            hint="look at `deploykit logs`; a second `up` goes on from there",
        )
    broken = next((host for host in result.hosts if host.failed or host.unreachable), None)
    if result.status != "successful" or broken:
        return DeploymentError(f"the playbook ended as `{result.status}`{_on(broken)}, and no task said why")
    return None


def _error(first: TaskFailure, others: tuple[TaskFailure, ...]) -> DeploymentError:
    """Make one error of a failure: what, then where and all that is known. Other hosts are named, not told in full."""
    head, *rest = first.message.splitlines() or [""]
    where = f"{first.role} : {first.task}" if first.role else first.task
    # A module's own message of several lines is the evidence; output comes where the message is one line.
    detail = "\n".join([*rest, *([] if rest else first.output.splitlines()[-15:])])
    also = sorted({failure.host for failure in others} - {first.host})
    hint = f"failed too: {', '.join(also)}" if also else None
    if first.unreachable:
        return DeploymentError(head, detail=detail or None, hint=hint or "run the same command again when it answers")
    return DeploymentError(f"{first.host}: {where}: {head}", detail=detail or None, hint=hint)


def _on(host: HostOutcome | None) -> str:
    return f" on {host.host}" if host else ""


def _whole(facts: Mapping[str, object], key: str) -> int | None:
    value = facts.get(key)
    return value if isinstance(value, int) and not isinstance(value, bool) else None
