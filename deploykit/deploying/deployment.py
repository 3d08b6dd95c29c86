"""A deployment: what runs where, read back from the hosts and the engine."""

import datetime as dt
from typing import Literal

from pydantic import Field

from deploykit.base import Value
from deploykit.caveat import Caveat


class TaskFailure(Value):
    """A task that failed on a host."""

    host: str
    role: str | None
    task: str
    message: str
    output: str = Field("", description="The last lines the task printed.")
    unreachable: bool = False


class HostOutcome(Value):
    """What the playbook did on one host."""

    host: str
    ok: int
    changed: int
    failed: int
    unreachable: bool = False
    changed_tasks: tuple[str, ...] = ()


class EngineMemory(Value):
    """What the engine says about its memory when it has started; null where it did not say."""

    kv_cache_tokens: int | None = None
    gpu_blocks: int | None = None
    block_size: int | None = None
    max_concurrency: float | None = Field(None, description="Requests of `max-model-len` that fit at once.")
    weights_gib: float | None = Field(None, description="On the GPU that holds most.")
    kv_cache_gib: float | None = Field(None, description="On the GPU that has least left for it.")
    graphs_gib: float | None = Field(None, description="CUDA graphs.")


class RunningImage(Value):
    """The image that the engine's containers run."""

    reference: str = Field(description="As it was asked for: by digest, or by tag.")
    pinned: bool = Field(description="Whether it was asked for by digest; a tag can be moved.")
    digest: str | None = Field(None, description="What podman has under that name; null where it was not looked at.")


class Deployment(Value):
    """The state after a successful `site.yml`: proven by a completion that came back."""

    format: Literal["deploykit/deployment/1"] = "deploykit/deployment/1"
    bundle_digest: str
    hosts: tuple[HostOutcome, ...]
    endpoint: str = Field(description="Base URL without /v1.")
    served_model_name: str
    engine_version: str = Field(description="Read back from the engine's /version.")
    memory: EngineMemory
    image: RunningImage | None = Field(None, description="Null where the engine runs in an environment.")
    started_at: dt.datetime
    seconds: float
    ready_s: float | None = Field(
        None,
        description="Seconds from an engine's start until it was ready, the slowest's; null where none was started.",
    )
    caveats: tuple[Caveat, ...] = ()

    @property
    def changed(self) -> bool:
        """Whether any host was changed."""
        return any(host.changed for host in self.hosts)
