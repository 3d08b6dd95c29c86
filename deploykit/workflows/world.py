"""Everything a workflow may touch, in one value that the command line builds and tests replace."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from deploykit.workflows.ports import Clock, Dashboards, EngineMetrics, LoadGenerator, Playbooks, Reporter
from deploykit.workflows.stores import RecordStore, RunFolders


@dataclass(frozen=True)
class World:
    """The ports, the folders they work in, and the operator's secrets (which no value or log may hold)."""

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
    dashboards: Dashboards | None = None

    @property
    def api_key(self) -> str | None:
        """The key callers must send, if there is one."""
        return self.secrets.get("VLLM_API_KEY")
