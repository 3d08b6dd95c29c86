"""The arguments and options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

Model = Annotated[
    str | None,
    typer.Argument(
        help="A model of `deploykit models`; the intent file or the rehearsal's if not given.", show_default=False
    ),
]
NodeName = Annotated[str | None, typer.Option("--node", help="A machine of `deploykit nodes`.", show_default=False)]
Nodes = Annotated[int | None, typer.Option("--nodes", help="How many of them, 1 to 64.", show_default=False)]
WorkloadName = Annotated[
    str | None, typer.Option("--workload", "-w", help="A traffic shape of `deploykit workloads`.", show_default=False)
]
Checkpoint = Annotated[
    str | None, typer.Option("--checkpoint", help="One of the model's checkpoints.", show_default=False)
]
Slo = Annotated[
    str | None,
    typer.Option(
        "--slo",
        help="Limits over the workload's, such as ttft=2,tpot=0.05,e2e=30,share=0.95 (seconds; share of requests).",
        show_default=False,
    ),
]
Speculate = Annotated[
    str | None,
    typer.Option(
        "--speculate",
        metavar="METHOD",
        help="Speculative decoding: `off`, `auto`, or a method of the model such as mtp.",
        show_default="off",
    ),
]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help='A vLLM setting; may be repeated. VALUE is JSON where it is JSON (64, true, null, "64", {"a": 1}), else text as it stands; null takes the setting back.',
        show_default=False,
    ),
]
File = Annotated[Path | None, typer.Option("--file", "-f", help="The intent file.", show_default="./deploykit.yaml")]
Inventory = Annotated[
    Path | None,
    typer.Option("--inventory", "-i", help="An Ansible inventory with a group `nodes`.", show_default=False),
]
Port = Annotated[int | None, typer.Option("--port", help="The engine's port.", min=1024, max=65535, show_default=False)]
Rate = Annotated[
    list[str] | None,
    typer.Option("--rate", help="A rate of the node to price with; may be repeated.", show_default=False),
]
Offer = Annotated[
    list[str] | None,
    typer.Option(
        "--offer", help="An offer of `deploykit prices` to compare with; may be repeated.", show_default=False
    ),
]
Mirror = Annotated[
    str | None,
    typer.Option(
        "--mirror",
        metavar="DIR|URL",
        help="Where weights come from instead of the hub: a folder (of the hosts, or of this machine), or a server.",
        show_default="DEPLOYKIT_MIRROR",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
Deployment = Annotated[
    str | None, typer.Argument(help="A deployment's name; not needed when there is only one.", show_default=False)
]
