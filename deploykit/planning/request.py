"""What a plan is made from: facts about model, machine, traffic and engine, and what the operator asks for."""

from pydantic import Field, JsonValue

from deploykit.base import Value
from deploykit.catalog.calibration import Calibration
from deploykit.catalog.engine import EngineRelease, FlagTable
from deploykit.catalog.node import Node
from deploykit.catalog.profile import Profile
from deploykit.catalog.workload import Workload


class PlanRequest(Value):
    """The whole input of `plan`."""

    profile: Profile
    node: Node
    nodes: int = Field(1, ge=1, description="Machines of this kind.")
    workload: Workload
    engine: EngineRelease
    flags: FlagTable
    stand_in: Profile | None = Field(
        None, description="The tiny model that is served instead, on a node without GPUs; the plan names the real one."
    )
    checkpoint: str | None = Field(None, description="The operator's choice; null lets the planner choose.")
    calibration: Calibration | None = Field(None, description="What predicts times; null plans without predictions.")
    speculation: str = Field("off", description="`off`, `auto`, or a method of speculative decoding.")
    operator_file: dict[str, JsonValue] = Field(default_factory=dict, description="vLLM settings of deploykit.yaml.")
    operator_set: dict[str, JsonValue] = Field(default_factory=dict, description="vLLM settings of `--set`.")
    port: int = Field(8001, gt=0, lt=65536)
    host: str = "127.0.0.1"

    @property
    def served(self) -> Profile:
        """The profile whose weights are really served."""
        return self.stand_in or self.profile

    @property
    def capability(self) -> float | None:
        """CUDA compute capability of the node's GPUs; null without GPUs, or where it is unknown."""
        return self.node.gpu.capability if self.node.gpu else None

    @property
    def model_file(self) -> str:
        """Where the served profile stands, for messages and sources."""
        if self.served.config_file is not None:
            return self.served.config_file
        folder = "standins" if self.stand_in else "models"
        return f"profiles/{folder}/{self.served.name}.yaml"
