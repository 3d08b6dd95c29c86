"""Settings from every source -> one choice per name, in one merge order, and what later sources replaced.

The order: planner, profile (its settings, parsers, then those for the GPU's architecture), the release's known
issues, the release's settings for the runtime, the operator's file, the operator's `--set`. Later wins. A value of
null takes a setting back to the engine's default. The environment goes the same way, without the operator.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from pydantic import JsonValue

from deploykit.catalog.engine import FlagTable, Runtime
from deploykit.catalog.profile import ArchitectureLayout, Serving
from deploykit.planning.plan import Choice
from deploykit.planning.request import PlanRequest
from deploykit.planning.wishes import FOLLOWED


@dataclass(frozen=True)
class Footing:
    """What is decided already: some of a profile's settings hold only for one checkpoint, or with experts spread."""

    checkpoint: str | None = None
    expert: bool = False


MERGE_ORDER = ("planner", "profile", "known issues", "engine runtime", "deploykit.yaml", "--set")
"""Sources of a setting; later ones win."""


def normal(name: str, value: JsonValue, flags: FlagTable) -> tuple[str, JsonValue]:
    """Return a setting under its full name: `_` is `-`, aliases are resolved, `no-x: true` is `x: false`."""
    name = name.replace("_", "-")
    if name in flags.flags:
        return name, value
    for full, flag in flags.flags.items():
        if f"--{name}" in flag.aliases:
            return (full, False) if name == f"no-{full}" and value is True else (full, value)
    return name, value


def later_choices(request: PlanRequest, on: Footing) -> tuple[Choice, ...]:
    """Return what every source after the planner wants, in merge order; a name may stand there more than once."""
    flags, served, engine = request.flags, request.served, request.engine
    choices: list[Choice] = []

    def add(values: Mapping[str, JsonValue], because: str, source: str) -> None:
        for given, wanted in values.items():
            name, value = normal(given, wanted, flags)
            choices.append(Choice(setting=name, value=value, because=because, source=source))

    if served.serving:
        add(served.serving.settings, f"the model needs it ({served.serving.source})", request.model_file)
        choices += _parsers(served.serving, request.model_file)
        for layout in architecture_layouts(request, on):
            add(layout.settings, _for_architecture(layout), f"{request.model_file}, per_architecture")
    engine_file = f"profiles/engines/{engine.name}.yaml"
    for issue in engine.known_issues:
        add(issue.settings, issue.says, f"{engine_file}, known issue `{issue.code}`")
    name, runtime = _runtime(request)
    add(runtime.settings, f"vLLM {engine.version} runs best so on {name}", f"{engine_file}, {name}")
    add(request.operator_file, "you ask for it", "deploykit.yaml")
    add(request.operator_set, "you ask for it", "--set")
    return tuple(choices)


def environment(request: PlanRequest, on: Footing) -> tuple[tuple[Choice, ...], tuple[Choice, ...]]:
    """Return the engine's environment, one choice per variable, and what was replaced."""
    served, engine = request.served, request.engine
    later: list[Choice] = []

    def add(values: Mapping[str, str], because: str, source: str) -> None:
        later.extend(Choice(setting=n, value=v, because=because, source=source) for n, v in values.items())

    if served.serving:
        add(served.serving.environment, f"the model needs it ({served.serving.source})", request.model_file)
        for layout in architecture_layouts(request, on):
            add(layout.environment, _for_architecture(layout), f"{request.model_file}, per_architecture")
    name, runtime = _runtime(request)
    source = f"profiles/engines/{engine.name}.yaml, {name}"
    add(runtime.environment, f"vLLM {engine.version} runs best so on {name}", source)
    return merge(_planned_environment(request), later)


def merge(planned: Iterable[Choice], later: Iterable[Choice]) -> tuple[tuple[Choice, ...], tuple[Choice, ...]]:
    """Return one choice per name, in the order names first appear, and the choices that were replaced.

    A source that repeats the value already chosen changes nothing: the first reason given for it stays. Where the
    planner's value only follows a later source (`FOLLOWED`), the reason is that source's.
    """
    winners: dict[str, Choice] = {}
    replaced: list[Choice] = []
    for choice in (*planned, *later):
        before = winners.get(choice.setting)
        repeated = before is not None and before.value == choice.value
        if repeated and choice.setting not in FOLLOWED:
            continue
        if before is not None and not repeated:
            replaced.append(before)
        winners[choice.setting] = choice
    # A setting taken back to its default leaves the file, and stays visible among the replaced.
    replaced += [choice for choice in winners.values() if choice.value is None]
    return tuple(choice for choice in winners.values() if choice.value is not None), tuple(replaced)


def architecture_layouts(request: PlanRequest, on: Footing) -> tuple[ArchitectureLayout, ...]:
    """Return the profile's layouts for the node's GPU architecture, the checkpoint and the layout."""
    capability, serving = request.capability, request.served.serving
    if capability is None or serving is None:
        return ()
    return tuple(
        layout
        for layout in serving.per_architecture
        if layout.min_capability <= capability < (layout.below_capability or float("inf"))
        and (not layout.checkpoints or on.checkpoint in layout.checkpoints)
        and (on.expert or not layout.expert_parallel_only)
    )


def _parsers(serving: Serving, source: str) -> list[Choice]:
    wanted: list[tuple[str, JsonValue, str]] = []
    if serving.tokenizer_mode:
        wanted.append(("tokenizer-mode", serving.tokenizer_mode, "the model's prompts have a format of their own"))
    if serving.reasoning_parser:
        wanted.append(
            ("reasoning-parser", serving.reasoning_parser, "splits the model's thinking from its answer, in its format")
        )
    if serving.tool_call_parser:
        wanted.append(("tool-call-parser", serving.tool_call_parser, "reads tool calls in the model's format"))
        wanted.append(("enable-auto-tool-choice", True, "lets clients leave the choice of a tool to the model"))
    return [Choice(setting=n, value=v, because=b, source=source) for n, v, b in wanted]


def _for_architecture(layout: ArchitectureLayout) -> str:
    upper = f"to below {layout.below_capability}" if layout.below_capability else "or newer"
    return f"for GPUs of compute capability {layout.min_capability} {upper} ({layout.source})"


def _runtime(request: PlanRequest) -> tuple[str, Runtime]:
    if request.node.gpu is None:
        return "cpu", request.engine.build("cpu")
    return "cuda", request.engine.build("cuda")


def _planned_environment(request: PlanRequest) -> tuple[Choice, ...]:
    wanted = [
        ("HF_HUB_OFFLINE", "1", "weights are put in place before the start; the engine must not look for others"),
        ("VLLM_NO_USAGE_STATS", "1", "the engine reports nothing to anybody"),
        ("DO_NOT_TRACK", "1", "the engine's libraries report nothing to anybody"),
    ]
    if request.node.gpu is None:
        wanted.insert(
            0,
            (
                "VLLM_ENABLE_V1_MULTIPROCESSING",
                "0",
                "one process starts in half the time of three; without it the CPU build refuses the `uni` executor",
            ),
        )
    return tuple(Choice(setting=n, value=v, because=b, source="planner") for n, v, b in wanted)
