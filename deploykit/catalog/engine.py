"""An engine release: what to install, which flags it has, what its metrics are called, what is known to be wrong."""

from typing import Annotated, Literal

from pydantic import Field, JsonValue

from deploykit.base import Value
from deploykit.catalog import patterns
from deploykit.catalog.fact import Facts
from deploykit.errors import CatalogError


class Flag(Value):
    """One flag of `vllm serve`, as its own parser describes it."""

    type: str | None = Field(
        None, description="Name of the parser's converter; `flag` takes no value, `bool` also has a `--no-` form."
    )
    default: str | None = None
    choices: tuple[str, ...] | None = None
    nargs: str | int | None = None
    aliases: tuple[str, ...] = ()
    group: str | None = None
    dest: str | None = None
    json_value: bool = Field(False, alias="json", description="Takes JSON.")
    deprecated_note: str | None = None


class FlagTable(Value):
    """Every flag of one release, generated from that release's parser (`make engine-flags`)."""

    vllm: str
    flags: dict[str, Flag]
    extra: dict[str, tuple[str, ...]] = Field(description="Registered parsers, quantizations, backends, architectures.")


class InstallSource(Facts):
    """One place the engine can be installed from; they are tried in order, and one that does not answer is left in seconds."""

    name: str
    kind: Literal["wheel", "index"]
    url: str | None = Field(
        None, description="A wheel's address (`wheel`) or an extra index (`index`); null is the default index."
    )
    requirement: str
    torch_index: str | None = Field(None, description="Index with PyTorch's CPU builds.")
    official: bool = Field(description="Published by the vLLM project itself.")


class Paging(Value):
    """How a build pages the KV cache where nothing is set."""

    page_tokens: int = Field(16, gt=0, description="Tokens in a page of attention: vLLM's default `block-size`.")
    latent_page_tokens: int = Field(
        64, gt=0, description="The same for latent attention (MLA), as its kernels want it."
    )
    batches_in_flight: int = Field(
        2, gt=0, description="Steps under way at once on one pipeline stage: asynchronous scheduling has two."
    )


class CudaNeed(Facts):
    """The CUDA a build brings, and the driver that needs."""

    version: str = Field(description="Version of CUDA, or its beginning.")
    min_driver: str = Field(description="Oldest driver, or its beginning.")


class Runtime(Value):
    """One build of the engine."""

    python: str = Field(description="Python version of its environment.")
    sources: tuple[InstallSource, ...] = Field(min_length=1)
    lock: str | None = Field(None, description="Lock file beside this one, with hashes.")
    cuda: CudaNeed | None = Field(None, description="Null for a build without CUDA, or where it is not known.")
    environment: dict[str, str] = Field(default_factory=dict)
    settings: dict[str, JsonValue] = Field(default_factory=dict)
    paging: Paging = Paging()


class ContainerImage(Facts):
    """The release as a container image."""

    name: str = Field(description="Fully qualified, so that every tool finds the same one.")
    tag: str
    digest: str | None = Field(None, pattern=patterns.DIGEST, description="Null where it is not known.")

    @property
    def reference(self) -> str:
        """Return the image as container tools take it: by digest where it is known, else by tag."""
        return f"{self.name}@{self.digest}" if self.digest else f"{self.name}:{self.tag}"


class RemovedFlag(Facts):
    """A flag older guides still use."""

    flag: str
    instead: str | None = Field(description="What replaces it; null where nothing does.")


class KnownIssue(Facts):
    """A defect or trap of the release, and the setting that avoids it where one does."""

    code: str
    says: str
    settings: dict[str, JsonValue] = Field(default_factory=dict)


class SettingRule(Facts):
    """What one value of a setting needs of GPU, layout or checkpoint; without it the engine dies or answers nonsense."""

    code: str
    setting: str = Field(description="The setting; `a.b` is the key `b` of the setting `a`.")
    value: JsonValue = Field(description="The value this is about; one that ends in `*` is a beginning.")
    min_capability: float | None = Field(None, description="Lowest CUDA compute capability.")
    below_capability: float | None = Field(None, description="Only GPUs below this capability.")
    expert_parallel: bool = Field(False, description="Only layouts that spread experts.")
    precisions: tuple[str, ...] = Field((), description="Only checkpoints that store experts so; empty is all.")
    says: str


class KvOffload(Facts):
    """The engine's own offloading of KV cache to host memory, and which attention it was made for."""

    size_setting: str = Field(description="Setting with the buffer's GiB, summed over the ranks of one engine core.")
    kinds: tuple[str, ...] = Field(description="Kinds of attention groups it holds.")
    share_of_ram: float = Field(gt=0, lt=1, description="Most of the host's memory this project gives to it.")


class Histogram(Value):
    """A histogram of seconds in the engine's /metrics."""

    name: str = Field(description="Without the ending `_bucket`.")
    buckets: tuple[float, ...] = Field(min_length=2, description="Upper bounds in seconds, without infinity.")


class MetricNames(Value):
    """Names in the engine's /metrics."""

    prompt_tokens: str
    cached_tokens: str
    output_tokens: str
    requests_finished: str
    requests_running: str
    requests_waiting: str
    kv_cache_usage: str
    cache_config: str
    preemptions: str
    prefix_queries: str | None = Field(None, description="Tokens that were looked up in the prefix cache.")
    prefix_hits: str | None = Field(None, description="Of them, those that were there.")
    draft_tokens: str | None = Field(None, description="Tokens that speculative decoding proposed.")
    accepted_tokens: str | None = Field(None, description="Of them, those that the model took.")
    ttft: Histogram | None = Field(None, description="Time to the first token, per request; null where there is none.")
    tpot: Histogram | None = Field(None, description="Mean time per output token after the first, per request.")
    e2e: Histogram | None = Field(None, description="Time from the request's arrival to its last token.")


RoutePath = Annotated[str, Field(pattern=patterns.ROUTE)]
"""A path that is compared as a whole: nothing in it has a meaning to a proxy."""


class CallerRoutes(Facts):
    """Paths that callers use. What else the engine answers (metrics, developer routes, adapters) is not theirs."""

    get: tuple[RoutePath, ...] = Field(min_length=1, description="Paths to read.")
    post: tuple[RoutePath, ...] = Field(min_length=1, description="Paths to send a request to.")


class Router(Facts):
    """The vLLM project's router, a process between the gateway and the engines that knows which holds which prefix."""

    requirement: str = Field(pattern=patterns.REQUIREMENT, description="What to install, pinned.")
    lock: str = Field(description="Lock file beside this one, with hashes.")
    python: str = Field(description="Python version of its environment.")
    paths: tuple[RoutePath, ...] = Field(min_length=1, description="Callers' paths that it can take.")
    note: str | None = None


class EngineRelease(Facts):
    """A release of vLLM. `name` is its file's stem."""

    name: str
    version: str
    flag_table: str = Field(description="File beside this one with the flag table.")
    cuda: Runtime
    cpu: Runtime | None = Field(description="What a rehearsal runs; null where no CPU build is known.")
    image: ContainerImage | None = Field(None, description="The CUDA build as an image; null where there is none.")
    removed_flags: tuple[RemovedFlag, ...] = ()
    known_issues: tuple[KnownIssue, ...] = ()
    calibration: str | None = Field(None, description="The profile in calibrations/ that predicts its times on GPUs.")
    setting_rules: tuple[SettingRule, ...] = ()
    kv_offload: KvOffload | None = None
    caller_routes: CallerRoutes
    router: Router | None = Field(None, description="Null where none is known to go with the release.")
    metrics: MetricNames

    def build(self, runtime: Literal["cuda", "cpu"]) -> Runtime:
        """Return the build for GPUs or for CPUs; CatalogError where the release has none."""
        found = self.cuda if runtime == "cuda" else self.cpu
        if found is None:
            raise CatalogError(
                f"`{self.name}` says nothing of a CPU build of vLLM {self.version}, and a rehearsal runs one",
                hint="`deploykit engines` lists the releases; `engine:` in deploykit.yaml names one",
            )
        return found
