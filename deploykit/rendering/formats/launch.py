"""A plan in, its engine processes as every other format needs them out: checked settings, environment, GPUs.

The settings are the very lines that serve.yaml holds in a bundle. What differs: the weights come from the model hub at
the plan's revision, for there is no release folder with a link to them; and no gateway stands in front.
"""

from collections.abc import Iterable

from pydantic import Field

from deploykit.base import Value
from deploykit.catalog.engine import ContainerImage, EngineRelease, FlagTable
from deploykit.errors import UsageError
from deploykit.planning.plan import Choice, Plan
from deploykit.rendering.bundle import BundleFile
from deploykit.rendering.environment import variables
from deploykit.rendering.flag_lint import ConfigLine
from deploykit.rendering.layout import Instance, instances, is_planners
from deploykit.rendering.options import GatewayOptions
from deploykit.rendering.process import environment_of, settings_of
from deploykit.rendering.serve_config import config_lines, config_text

KEY = "VLLM_API_KEY"
"""The variable the engine reads the callers' key from."""

HUB_TOKEN = "HF_TOKEN"  # noqa: S105 - the variable's name
"""The variable the token for gated weights is read from."""

KEY_WANTED = "set it to the key that callers must send"

EVERYWHERE = "0.0.0.0"  # noqa: S104 - inside a container; what is published outside is said beside it

_RENUMBERED = "CUDA_VISIBLE_DEVICES"
_OFFLINE = "HF_HUB_OFFLINE"


class FormatOptions(Value):
    """What a format needs to know beside the plan."""

    image: str | None = Field(None, description="Image to run instead of the release's own.")
    weights: str | None = Field(None, description="Where the hub's cache is: a folder on the host, or `pvc:NAME`.")
    key_required: bool = Field(description="Whether callers must send a key; the key itself never enters a file.")
    interface: str | None = Field(None, description="Network interface by which the nodes of one engine meet.")
    first_port: int = Field(8000, description="First engine port where the plan names none.")


class Launch(Value):
    """One engine process: where it runs, with which settings and environment."""

    instance: Instance
    lines: tuple[ConfigLine, ...]
    environment: tuple[Choice, ...]
    gpus: int = Field(description="GPUs it takes on its node.")

    @property
    def model(self) -> str:
        """Return what `vllm serve` is told to serve."""
        return str(next(line.value for line in self.lines if line.key == "model"))

    def variables(self) -> dict[str, str]:
        """Return the environment as the process has it."""
        return variables(self.environment)

    def contained(self) -> "Launch":
        """Return the process as a container runs it: the GPUs given to it are the only ones, numbered from 0."""
        kept = tuple(choice for choice in self.environment if choice.setting != _RENUMBERED)
        return self.model_copy(update={"environment": kept})

    def config(self, header: Iterable[str], *, who: str | None = None, without: frozenset[str] = frozenset()) -> str:
        """Return its serve.yaml, without the keys that the format gives on the command line."""
        kept = (line for line in self.lines if line.key not in without)
        return config_text(kept, header=(*header, who or f"Instance: {self.instance.name}."))


class Deployed(Value):
    """A plan, its processes, and what is around them."""

    plan: Plan
    launches: tuple[Launch, ...]
    options: FormatOptions
    image: ContainerImage | None
    header: tuple[str, ...]

    @property
    def reference(self) -> str:
        """Return the image to run, or raise UsageError if none is known."""
        if self.options.image is not None:
            return self.options.image
        if self.image is None:
            raise UsageError(
                f"no container image of `{self.plan.engine}` is known", hint="name one with --image NAME:TAG"
            )
        return self.image.reference

    @property
    def weights_note(self) -> str:
        """Return where the weights come from."""
        checkpoint = self.plan.checkpoint
        at = f"at {checkpoint.revision}" if checkpoint.revision else "as it is then: the plan knows no revision to pin"
        return f"The first start downloads {checkpoint.weights_gb:,.0f} GB of weights: {checkpoint.repo} {at}."

    @property
    def image_note(self) -> str:
        """Return what a reader of the file must know of the image."""
        if self.options.image is not None:
            return f"Image {self.options.image}, as you ask."
        if self.image is not None and self.image.digest is None:
            return f"Image by tag: the digest is not known ({self.image.source}). A tag can be moved; pin it with --image NAME@sha256:..."
        return "Image by digest."

    def on_node(self, index: int) -> tuple[Launch, ...]:
        """Return the processes of one node."""
        return tuple(launch for launch in self.launches if launch.instance.node_index == index)

    def nodes(self) -> tuple[int, ...]:
        """Return the nodes that run anything."""
        return tuple(sorted({launch.instance.node_index for launch in self.launches}))

    def file(self, path: str, content: str, purpose: str) -> BundleFile:
        """Return a file of this format."""
        return BundleFile(path=path, content=content, purpose=purpose)


def deployed(
    plan: Plan,
    *,
    engine: EngineRelease,
    flags: FlagTable,
    hosts: tuple[str, ...],
    options: FormatOptions,
    header: tuple[str, ...],
    listen: str | None = None,
) -> Deployed:
    """Return a plan's processes for some hosts.

    Args:
        plan: what to serve and how.
        engine: the release the plan names.
        flags: that release's flag table.
        hosts: addresses in the order of the nodes; empty where none are known.
        options: what the format needs beside the plan.
        header: first lines of every file.
        listen: address every process binds to, instead of the one its host suggests.

    Raises:
        UnsupportedSettingError: a setting that the release does not have, or not with that value.
        PlanningError: hosts that do not fit the plan.

    """
    at_hub = plan if plan.stand_in else _from_hub(plan)
    nobody = GatewayOptions(enabled=False, port=options.first_port, key_required=False)
    found = instances(at_hub, hosts=hosts, gateway=nobody, flags=flags, interface=options.interface)
    if listen is not None:
        found = tuple(instance.model_copy(update={"listen": listen}) for instance in found)
    launches = tuple(
        Launch(
            instance=instance,
            lines=config_lines(settings_of(at_hub, instance), flags=flags, removed=engine.removed_flags),
            environment=environment_of(at_hub, instance),
            gpus=instance.layout.gpus_per_engine // instance.ranks if plan.runtime == "cuda" else 0,
        )
        for instance in found
    )
    return Deployed(plan=plan, launches=launches, options=options, image=engine.image, header=header)


def _from_hub(plan: Plan) -> Plan:
    """Return the plan without what the planner knows of a release folder: the link to weights that are there already.

    Without it the settings name the hub's repository and its revision, and the engine may ask the hub for them.
    """
    kept = (c for c in plan.settings if not (c.setting == "model" and is_planners(c)))
    settings = tuple(_with_draft(c, plan) for c in kept)
    environment = tuple(c for c in plan.environment if not (c.setting == _OFFLINE and is_planners(c)))
    return plan.model_copy(update={"settings": settings, "environment": environment})


def _with_draft(choice: Choice, plan: Plan) -> Choice:
    """Return a setting with the hub's repository where the planner's names the release folder's link to a draft."""
    draft = plan.draft
    if draft is None or choice.setting != "speculative-config" or not is_planners(choice):
        return choice
    config = choice.value if isinstance(choice.value, dict) else {}
    revision = {} if draft.revision is None else {"revision": draft.revision}
    return choice.model_copy(update={"value": {**config, "model": draft.repo, **revision}})
