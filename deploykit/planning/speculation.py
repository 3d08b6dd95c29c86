"""The operator's one switch for speculative decoding -> the way that this checkpoint and GPU can go, or why there is none.

One switch sets everything that hangs together: the checkpoint that carries the draft, vLLM's `speculative-config`, and
a step large enough to verify every running sequence's drafts at once.
"""

from pydantic import JsonValue

from deploykit.catalog.catalog import nearest
from deploykit.catalog.profile import Checkpoint, Speculation
from deploykit.errors import Place, PlanningError
from deploykit.planning.plan import PlannedDraft
from deploykit.planning.request import PlanRequest

DRAFT_LINK = "./draft"
"""The link inside a release's folder that points at a draft model of its own."""

OFF = "off"
AUTO = "auto"


def speculation_for(request: PlanRequest, checkpoint: Checkpoint) -> Speculation | None:
    """Return how a checkpoint speculates on the request's GPUs, or None where it does not or is not asked to."""
    wanted = request.speculation
    if wanted == OFF:
        return None
    usable = [s for s in _known(request) if wanted in {AUTO, s.method} and _runs(request, s)]
    if wanted == AUTO:
        # A draft inside the weights was trained with them; another repository is the second choice.
        inside = [s for s in usable if any(s.method in c.drafts for c in request.served.checkpoints)]
        usable = inside or usable
    return next((s for s in usable if carries(checkpoint, s)), None)


def carries(checkpoint: Checkpoint, speculation: Speculation) -> bool:
    """Whether a checkpoint's own files hold the draft, or the draft is a repository that goes with any of them."""
    return speculation.method in checkpoint.drafts or draft_of(speculation) is not None


def draft_of(speculation: Speculation) -> PlannedDraft | None:
    """Return the repository of a draft that is not part of the weights."""
    repo = speculation.config.get("model")
    if not isinstance(repo, str):
        return None
    revision = speculation.config.get("revision")
    return PlannedDraft(repo=repo, revision=revision if isinstance(revision, str) else None)


def config_of(speculation: Speculation) -> dict[str, JsonValue]:
    """Return vLLM's `speculative-config`, with the draft where the weights role puts it."""
    if draft_of(speculation) is None:
        return dict(speculation.config)
    return {key: value for key, value in speculation.config.items() if key != "revision"} | {"model": DRAFT_LINK}


def drafted_tokens(config: object) -> int:
    """Return how many tokens a `speculative-config` drafts per step; 0 without one."""
    tokens = config.get("num_speculative_tokens") if isinstance(config, dict) else None
    return tokens if isinstance(tokens, int) and not isinstance(tokens, bool) and tokens > 0 else 0


def check_speculation(request: PlanRequest) -> None:
    """Raise PlanningError if what is asked for is no way of this model, not for this GPU, or in no checkpoint."""
    wanted, known = request.speculation, _known(request)
    asked = [c for c in request.served.checkpoints if request.checkpoint in {None, c.name}]
    if wanted == OFF or any(speculation_for(request, c) for c in asked):
        return
    model, place = request.profile.name, Place(request.model_file, key="serving.speculation")
    methods = sorted({s.method for s in known})
    if not known or (wanted != AUTO and wanted not in methods):
        has = f"it has {', '.join(methods)}" if methods else "its profile names none"
        close = nearest(wanted, methods)
        meant = f"did you mean `{close[0]}`? " if close else ""
        what = "speculative decoding" if wanted == AUTO else f"speculative decoding by `{wanted}`"
        raise PlanningError(
            f"`{model}` has no {what}: {has}", where=place, hint=f"{meant}`--speculate off` plans without"
        )
    chosen = [s for s in known if wanted in {AUTO, s.method}]
    reasons = "; ".join(dict.fromkeys(_why_not(request, s) for s in chosen))
    raise PlanningError(
        f"`{model}` cannot speculate on `{request.node.name}`: {reasons}",
        where=place,
        hint="`--speculate off` plans without",
    )


def _known(request: PlanRequest) -> tuple[Speculation, ...]:
    return request.served.serving.speculation if request.served.serving else ()


def _runs(request: PlanRequest, speculation: Speculation) -> bool:
    capability = request.capability or 0.0
    low, high = speculation.min_capability, speculation.below_capability
    return (low is None or low <= capability) and (high is None or capability < high)


def _why_not(request: PlanRequest, speculation: Speculation) -> str:
    if not _runs(request, speculation):
        return f"`{speculation.method}` is not for compute capability {request.capability}"
    if request.checkpoint:
        return f"checkpoint `{request.checkpoint}` carries no draft for `{speculation.method}`"
    return f"no checkpoint carries a draft for `{speculation.method}`"
