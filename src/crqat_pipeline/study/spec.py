"""What a study compares, as parameters."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from crqat_pipeline.curriculum.plan import PLANS
from crqat_pipeline.detection_data.loader_spec import LoaderSpec
from crqat_pipeline.distillation.objective import DistillationSpec
from crqat_pipeline.quantization.transition_spec import TransitionSpec
from crqat_pipeline.recipes.specs import BatchNormTreatment
from crqat_pipeline.runtime.lookup import look_up
from crqat_pipeline.training.fusion_balance import FusionBalanceSpec
from crqat_pipeline.training.spec import OptimizationSpec
from crqat_pipeline.training.workers.spec import WorkersSpec


class _Spec(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class MethodSpec(_Spec):
    """One row of the tables: calibration alone, or a curriculum plan with its distillation terms."""

    label: str = Field(min_length=1, description="What people read")
    ptq_rule: Literal["minmax", "percentile", "mse"] | None = Field(
        default=None, description="Calibration alone by this rule; then nothing below has a meaning"
    )
    is_teacher: bool = Field(default=False, description="The full-precision teacher itself, untrained")
    is_quantized: bool = Field(default=True, description="False: the full-precision fine-tune, a control")
    plan: str = Field(default="single_stage", description="Row of PLANS: stages, their parts, shares and terms")
    distillation: DistillationSpec = Field(default_factory=DistillationSpec, description="Terms; the plan says when")
    ema_decay: float | None = Field(default=None, gt=0, lt=1, description="Weight average of weights and steps")
    schedule: Literal["constant", "cosine"] | None = Field(default=None, description="Of the rate; else the study's")
    batch_norm: BatchNormTreatment = Field(default="frozen", description="Running statistics of trained parts")
    transitions: TransitionSpec | None = Field(default=None, description="Weight codes that change: what is done")
    fusion_balance: FusionBalanceSpec | None = Field(default=None, description="Gradients balanced where branches fuse")
    prompt_split: str | None = Field(default=None, description="Split of the vocabulary that prompts come from")
    bits: tuple[int, int, int] | None = Field(
        default=None, description="Weights, activations, attention; else the run's"
    )
    num_steps: int | None = Field(default=None, ge=1, description="Training steps; else the study's")
    num_prompts: int | None = Field(default=None, ge=1, description="Prompts of a batch; else the study's")
    widths: Path | None = Field(
        default=None,
        description="File of widths of single layers, as bit_allocation writes it; the bits hold elsewhere",
    )
    gate_exchange: bool = Field(default=False, description="Maps are rounded before their gate (YOLO-World's neck)")
    rate_of: str | None = Field(
        default=None, description="Method whose chosen learning rate this one takes; else its own"
    )
    further_rates: tuple[float, ...] = Field(
        default=(), description="Learning rates beside the grid: where the best of the grid lay at its edge"
    )
    reference: str | None = Field(default="qat", description="Method that it is paired with")

    @property
    def is_trained(self) -> bool:
        return self.ptq_rule is None and not self.is_teacher

    @model_validator(mode="after")
    def _plan_exists(self) -> Self:
        look_up(PLANS, self.plan, "curriculum plan")
        return self


class TableSpec(_Spec):
    """Rows of one table of the results page."""

    title: str = Field(min_length=1)
    methods: tuple[str, ...] = Field(min_length=1)
    note: str = Field(default="", description="What the table asks, in a sentence")


class ParetoSpec(_Spec):
    """The picture of accuracy against cost."""

    methods: tuple[str, ...] = Field(min_length=1)
    prompts: tuple[int, ...] = Field(
        min_length=1, description="Prompts asked about at once; bit operations depend on it"
    )


class StudySpec(_Spec):
    """Methods × learning rates × tuning seeds first; then every method at its best rate on the other seeds."""

    about: str = Field(min_length=1, description="Head of the page: which detector and data, what a seed is")
    seeds: tuple[int, ...] = Field(
        min_length=2, description="Seeds of the reported figures: teacher, data order, draws"
    )
    tuning_seeds: tuple[int, ...] = Field(description="Seeds that choose the learning rate; none of the reported ones")
    learning_rates: tuple[float, ...] = Field(min_length=1, description="The grid of every method")
    selection_metric: str = Field(default="AP", description="COCO figure on the tuning images that chooses the rate")
    tuning_source: Literal["rendered", "held_out"] = Field(
        default="rendered",
        description="rendered: images of the embedded benchmark that no other stage reads. held_out: images of the QAT "
        "data, which tuning cells do not train on; reported cells train on all",
    )
    tuning_images: int = Field(default=300, ge=1, description="Images of the tuning split")
    calibration_draw: int | None = Field(
        default=None, ge=1, description="Every seed calibrates on so many images of its own; absent: all on the run's"
    )
    image_draws: int = Field(
        default=0,
        ge=0,
        description="Draws of the reported images with replacement (bootstrap); 0: no interval over images",
    )
    processes: int = Field(default=2, ge=1, description="Cells that run side by side, on this machine")
    threads_per_process: int = Field(default=1, ge=1)
    workers: WorkersSpec = Field(
        default_factory=WorkersSpec,
        description="Cells on workers of torchrun or Ray instead, on many machines too: each takes cells by itself",
    )
    loader: LoaderSpec
    optimization: OptimizationSpec = Field(description="Of every method; the grid replaces learning_rate")
    methods: dict[str, MethodSpec] = Field(min_length=1)
    tables: tuple[TableSpec, ...] = Field(min_length=1)
    pareto: ParetoSpec
    finished_only: bool = Field(default=False, description="Run nothing: the page of the cells that are there")
    only: tuple[str, ...] = Field(
        default=(), description="Run these methods only; all when empty. A string names several with spaces between"
    )

    @field_validator("only", mode="before")
    @classmethod
    def _names_in_a_string(cls, value: Any) -> Any:
        return value.split() if isinstance(value, str) else value  # --params takes no list of several names

    @model_validator(mode="after")
    def _names_and_seeds_fit(self) -> Self:
        shared = set(self.seeds) & set(self.tuning_seeds)
        if shared:
            raise ValueError(f"A seed that chose a rate must not be reported; both lists have {sorted(shared)}.")
        named = [*self.only, *self.pareto.methods, *(name for table in self.tables for name in table.methods)]
        for method in self.methods.values():
            named += [name for name in (method.rate_of, method.reference) if name is not None]
        for name in named:
            look_up(self.methods, name, "study method")
        for name, method in self.methods.items():
            if method.rate_of is not None and self.methods[method.rate_of].rate_of is not None:
                raise ValueError(f"rate_of names a method that is tuned itself; {name} names {method.rate_of!r}.")
        return self

    def rates(self, *names: str) -> tuple[float, ...]:
        """What the learning rates of these methods are chosen among, in order: the grid, and what they add to it."""
        further = (rate for name in names for rate in self.methods[name].further_rates)
        return tuple(sorted({*self.learning_rates, *further}))

    @property
    def side_by_side(self) -> int:
        """Cells that run at once."""
        return self.workers.num_workers if self.workers.is_shared else self.processes

    @property
    def threads(self) -> int:
        """Of a cell's arithmetic."""
        return self.workers.threads if self.workers.is_shared else self.threads_per_process

    @property
    def chosen(self) -> tuple[str, ...]:
        """The methods of this run."""
        return self.only or tuple(self.methods)
