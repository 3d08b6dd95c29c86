"""`deploykit render`: write a plan's files, for Ansible or for another platform, without touching a machine."""

from pathlib import Path
from typing import Annotated

import typer

from deploykit.cli import options
from deploykit.cli.console import envelope, say
from deploykit.cli.plan import placeholder_hosts, planned_from, show_tree

ANSIBLE = "ansible"
FORMATS = (ANSIBLE, "shell", "compose", "quadlet", "kubernetes")


def render(
    model: options.Model = None,
    node: options.NodeName = None,
    nodes: options.Nodes = None,
    workload: options.WorkloadName = None,
    slo: options.Slo = None,
    speculate: options.Speculate = None,
    checkpoint: options.Checkpoint = None,
    set_: options.Settings = None,
    file: options.File = None,
    format_: Annotated[
        list[str] | None,
        typer.Option(
            "--format",
            "-F",
            help=f"One of {', '.join(FORMATS)}; may be repeated.",
            show_default=ANSIBLE,
            metavar="FORMAT",
        ),
    ] = None,
    image: Annotated[
        str | None, typer.Option("--image", help="Container image instead of the release's own.", show_default=False)
    ] = None,
    weights: Annotated[
        str | None,
        typer.Option("--weights", help="Cache of the model hub: a host's folder, or pvc:NAME.", show_default=False),
    ] = None,
    *,
    out: Annotated[Path, typer.Option("--out", "-o", help="An empty or new folder.")] = Path("bundle"),
    json: options.Json = False,
) -> None:
    """Write the files that serve a plan: the bundle for Ansible, or shell, Compose, podman or Kubernetes files."""
    from deploykit.cli.context import parse_slo
    from deploykit.effects.files import storage, write_text
    from deploykit.errors import UsageError
    from deploykit.workflows.bundling import Rendering, make_files

    intended = {
        "model": model, "node": node, "nodes": nodes, "workload": workload, "checkpoint": checkpoint,
        "slo": parse_slo(slo), "speculation": speculate,
    }  # fmt: skip
    context, intent, planned = planned_from(file, intended, set_)
    wanted = tuple(dict.fromkeys(format_ or [ANSIBLE]))
    for unknown in (name for name in wanted if name not in FORMATS):
        raise UsageError(f"there is no format `{unknown}`", hint=f"one of {', '.join(FORMATS)}")
    bundle = make_files(
        planned,
        intent,
        placeholder_hosts(planned, intent),
        Rendering(formats=wanted, image=image, weights=weights, gateway_key=context.key_given),
    )
    with storage(out):
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise UsageError(f"{out} is not empty", hint="give another folder with --out")
    for file_ in bundle.files:
        write_text(out / file_.path, file_.content)
    write_text(out / "manifest.json", bundle.manifest.as_json())
    if json:
        envelope("bundle", bundle.manifest.as_data())
        return
    show_tree(bundle.manifest.as_data()["files"])
    say(f"\nwritten to {out}, digest {bundle.manifest.digest[:12]}")
