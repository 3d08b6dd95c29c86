"""An engine release: what to install, which flags it has, what its metrics are called, what is known to be wrong."""

from typing import Literal

from pydantic import Field, JsonValue

from deploykit.base import Value
from deploykit.catalog.fact import Facts


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


class Runtime(Value):
    """One build of the engine."""

    python: str = Field(description="Python version of its environment.")
    sources: tuple[InstallSource, ...] = Field(min_length=1)
    lock: str | None = Field(None, description="Lock file beside this one, with hashes.")
    environment: dict[str, str] = Field(default_factory=dict)
    settings: dict[str, JsonValue] = Field(default_factory=dict)
    paging: Paging = Paging()


class RemovedFlag(Facts):
    """A flag older guides still use."""

    flag: str
    instead: str | None = Field(description="What replaces it; null where nothing does.")


class KnownIssue(Facts):
    """A defect or trap of the release, and the setting that avoids it where one does."""

    code: str
    says: str
    settings: dict[str, JsonValue] = Field(default_factory=dict)


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


class EngineRelease(Facts):
    """A release of vLLM. `name` is its file's stem."""

    name: str
    version: str
    flag_table: str = Field(description="File beside this one with the flag table.")
    cuda: Runtime
    cpu: Runtime
    removed_flags: tuple[RemovedFlag, ...] = ()
    known_issues: tuple[KnownIssue, ...] = ()
    metrics: MetricNames
