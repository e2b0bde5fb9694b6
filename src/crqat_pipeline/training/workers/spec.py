"""How many processes train, and what starts them."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Engine = Literal["in_process", "torchrun", "ray"]


class WorkersSpec(BaseModel):
    """Workers of every training stage. The batch stays that of one process: each worker takes a part of it."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    engine: Engine = Field(
        default="in_process",
        description="in_process: this process alone. torchrun: PyTorch's own launcher. ray: Ray Train (extra ray)",
    )
    num_workers: int = Field(default=1, ge=1, le=4096, description="Processes that share a batch, on all machines")
    resources_per_worker: dict[str, float] = Field(
        default_factory=dict,
        description="CPU: threads of a worker (1 when absent). GPU: 1 where each has one. Ray places workers by them "
        "and by any others that its nodes offer",
    )
    machines: int = Field(default=1, ge=1, description="torchrun: machines, each with an equal share of the workers")
    launch: tuple[str, ...] = Field(
        default=(),
        description="torchrun on several machines: the command that starts its argument once on each, such as [srun, "
        "--ntasks-per-node=1]",
    )
    rendezvous: str | None = Field(
        default=None, description="torchrun on several machines: host:port of this one, where workers find one another"
    )
    max_restarts: int = Field(
        default=3, ge=0, description="How often lost workers are replaced; all go on from the last checkpoint"
    )
    silence_s: float = Field(
        default=60.0,
        gt=0,
        description="Workers end when the run that started them has been silent for so long, seconds",
    )

    @model_validator(mode="after")
    def _is_possible(self) -> Self:
        if self.engine == "in_process" and self.num_workers > 1:
            raise ValueError(
                f"in_process is one worker; got num_workers {self.num_workers}. Set engine: torchrun or ray"
            )
        if self.num_workers % self.machines:
            raise ValueError(
                f"every machine has as many workers; got {self.num_workers} for {self.machines} machines. Make "
                "num_workers a multiple of machines"
            )
        if self.machines > 1 and (self.engine != "torchrun" or not self.launch or self.rendezvous is None):
            raise ValueError(
                f"several machines need engine: torchrun with launch and rendezvous (Ray knows its own machines); got "
                f"engine {self.engine}, launch {list(self.launch)}, rendezvous {self.rendezvous}"
            )
        unusable = {name: amount for name, amount in self.resources_per_worker.items() if amount < 0}
        if unusable:
            raise ValueError(f"resources_per_worker are amounts of at least 0; got {unusable}")
        return self

    @property
    def is_shared(self) -> bool:
        """Whether other processes than this one train."""
        return self.engine != "in_process"

    @property
    def threads(self) -> int:
        """Of one worker's arithmetic."""
        return max(1, int(self.resources_per_worker.get("CPU", 1)))

    @property
    def uses_gpu(self) -> bool:
        return self.resources_per_worker.get("GPU", 0) > 0
