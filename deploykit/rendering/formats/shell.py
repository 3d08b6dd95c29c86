"""Engine processes in, one shell command for each out: to paste into a terminal, or to run as a script."""

import shlex

from deploykit.rendering.bundle import BundleFile
from deploykit.rendering.formats.arguments import arguments
from deploykit.rendering.formats.launch import KEY, KEY_WANTED, Deployed, Launch
from deploykit.rendering.serve_config import comment

_STAND_IN = "stand-in.json"


def shell_files(deployed: Deployed, recipe: str | None = None) -> tuple[BundleFile, ...]:
    """Return one script per process; of a rehearsal also the recipe its stand-in is made from."""
    files = [
        deployed.file(
            f"shell/{launch.instance.name}.sh",
            _script(deployed, launch),
            f"The command that starts {launch.instance.name}, with its environment.",
        )
        for launch in deployed.launches
    ]
    if recipe is not None:
        files.append(deployed.file(f"shell/{_STAND_IN}", recipe, "How the tiny random stand-in is made on the spot."))
    return tuple(files)


def _script(deployed: Deployed, launch: Launch) -> str:
    instance = launch.instance
    above = [*deployed.header, f"Run this on {instance.host}, with vLLM {deployed.plan.engine_version} on the PATH."]
    if not deployed.plan.stand_in:
        above.append(deployed.weights_note)
    else:
        above.append(f"First, beside this file: python -m deploykit.rehearsal --recipe {_STAND_IN} --out model")
    if instance.ranks > 1:
        above.append(f"Rank {instance.rank} of {instance.ranks}: start all of them; they wait for each other.")
    above.append("Reasons: `deploykit plan --explain`.")
    return "#!/bin/sh\n" + comment(*above) + " \\\n".join(_command(deployed, launch)) + "\n"


def _command(deployed: Deployed, launch: Launch) -> list[str]:
    """Return the lines of one simple command. Assignments before it reach its environment and no process list."""
    lines = [f"{name}={_quoted(value)}" for name, value in launch.variables().items()]
    if deployed.options.key_required and not launch.instance.headless:
        lines.insert(0, f'{KEY}="${{{KEY}:?{KEY_WANTED}}}"')
    (model,), *settings = arguments(launch.lines)
    lines.append(f"vllm serve {shlex.quote(model)}")
    return lines + [f"  {shlex.join(words)}" for words in settings]


def _quoted(value: str) -> str:
    """Return a value as a shell takes it back; `A==b` is right as it stands, and looks like a mistake."""
    quoted = shlex.quote(value)
    return f"'{value}'" if quoted == value and value.startswith("=") else quoted
