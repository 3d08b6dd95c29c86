"""How a playbook ended -> a Deployment, or the one error that says why not."""

import datetime as dt
from collections.abc import Mapping
from typing import TYPE_CHECKING

from deploykit.caveat import Caveat, Weight
from deploykit.deploying.deployment import Deployment, EngineMemory, HostOutcome, RunningImage, TaskFailure
from deploykit.deploying.examine import blocked_error, examination
from deploykit.errors import DeploymentError

if TYPE_CHECKING:
    from deploykit.workflows.ports import PlaybookResult


MENDS = (
    ("sudo password", "sudo: a password is required", "is not in the sudoers",
     "let the login user of this host run sudo without a password (a rule in /etc/sudoers.d), or set ansible_become_password"),
    ("module interpreter", "python3: not found", "python3: No such file",
     "this host has no Python that Ansible can use: `apt install python3` there (3.8 or newer), or name one with ansible_python_interpreter"),
    ("Permission denied (publickey",
     "name the right login and key: `ansible_user` and `ansible_ssh_private_key_file` in the inventory, `user` and `key_file` in deploykit.yaml"),
    ("Host key verification failed", "REMOTE HOST IDENTIFICATION HAS CHANGED",
     "connect once by hand and compare the host's key; if the host was installed anew: `ssh-keygen -R ADDRESS` first"),
    ("No space left on device", "Disk quota exceeded",
     "free some space on this host (`df -h /opt/deploykit`) and run the same command again"),
)  # fmt: skip
"""What to do about words that a failed task may say; the mend is the last of each."""


READY = "ready_s:"


def deployment_from(
    result: "PlaybookResult",
    *,
    bundle_digest: str,
    endpoint: str,
    served_model_name: str,
    started_at: dt.datetime,
    seconds: float,
    image: str | None = None,
) -> Deployment:
    """Return what was deployed, with `image` in containers of it; raises DeploymentError if a task failed or no engine was heard."""
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
    running = _image(image, first)
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
            max_concurrency=_decimal(first, "max_concurrency"),
            weights_gib=_decimal(first, "weights_gib"),
            kv_cache_gib=_decimal(first, "kv_cache_gib"),
            graphs_gib=_decimal(first, "graphs_gib"),
        ),
        image=running,
        started_at=started_at,
        seconds=seconds,
        ready_s=_slowest(result.facts),
        caveats=() if running is None or running.pinned else (_not_pinned(running),),
    )


def _slowest(facts: Mapping[str, Mapping[str, object]]) -> float | None:
    """Return how long the slowest engine took that was started; the module tells it as `ready_s:ENGINE` of each."""
    found = [_decimal(told, key) for told in facts.values() for key in told if key.startswith(READY)]
    return max((seconds for seconds in found if seconds is not None), default=None)


def _image(reference: str | None, facts: Mapping[str, object]) -> RunningImage | None:
    if reference is None:
        return None
    found = facts.get("image_digest")
    digest = found if isinstance(found, str) else None
    return RunningImage(reference=reference, pinned="@sha256:" in reference, digest=digest)


def _not_pinned(image: RunningImage) -> Caveat:
    was = f"; it was {image.digest}" if image.digest else ""
    return Caveat(
        code="image-not-pinned",
        weight=Weight.NOTE,
        says=f"The engine's image is named by a tag, {image.reference}, which can be moved{was}.",
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
    every = "\n".join((first.message, first.output))
    hints = [mend for *signs, mend in MENDS if any(sign in every for sign in signs)][:1]
    hints += [f"failed too: {', '.join(also)}"] if also else []
    hint = ". ".join(hints) or None
    if first.unreachable:
        return DeploymentError(head, detail=detail or None, hint=hint or "run the same command again when it answers")
    return DeploymentError(f"{first.host}: {where}: {head}", detail=detail or None, hint=hint)


def _on(host: HostOutcome | None) -> str:
    return f" on {host.host}" if host else ""


def _whole(facts: Mapping[str, object], key: str) -> int | None:
    value = facts.get(key)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _decimal(facts: Mapping[str, object], key: str) -> float | None:
    value = facts.get(key)
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
