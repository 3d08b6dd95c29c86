"""Everything a workflow may touch, in one value that the command line builds and tests replace."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from deploykit.workflows.ports import (
    Clock,
    Dashboards,
    EngineMetrics,
    LoadGenerator,
    LoadInputs,
    NoInputs,
    Playbooks,
    PowerMeter,
    Progress,
    Reporter,
)
from deploykit.workflows.stores import Memories, NoMemories, RecordStore, RunFolders


@dataclass(frozen=True)
class World:
    """The ports, the folders they work in, and the secrets that playbooks are given (which no value or log may hold)."""

    playbooks: Playbooks
    generator: LoadGenerator
    metrics: EngineMetrics
    clock: Clock
    reporter: Reporter
    runs: RunFolders
    records: RecordStore
    profiles: Path
    secrets: Mapping[str, str] = field(repr=False, default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    memories: Memories = field(default_factory=NoMemories)
    dashboards: Dashboards | None = None
    holder: Mapping[str, object] = field(default_factory=dict)
    """Who we are, for the deploy lock and the audit log of hosts."""

    power: PowerMeter | None = None
    """Of the GPUs that serve, where one can be read."""

    inputs: LoadInputs = field(default_factory=NoInputs)
    """The files that a load is replayed from."""

    load_watchers: tuple[Callable[[Progress], None], ...] = ()
    """Who else hears how far a load test is, beside the reporter."""

    caller_key: str | None = field(repr=False, default=None)
    """A caller's key, where playbooks are not given it: of the gateway's callers hosts get hashes alone."""

    @property
    def api_key(self) -> str | None:
        """The key callers must send, if there is one."""
        return self.caller_key or self.secrets.get("VLLM_API_KEY")
