"""A method at a learning rate, as the QAT stages that run it."""

from __future__ import annotations

from collections.abc import Sequence

from crqat_pipeline.curriculum.plan import PLANS
from crqat_pipeline.detectors.family import PARTS
from crqat_pipeline.quantization import QuantSpec
from crqat_pipeline.recipes.planned_stages import planned_stages
from crqat_pipeline.recipes.specs import QatSpec, QatStageSpec
from crqat_pipeline.recipes.widths_file import read_widths
from crqat_pipeline.study.spec import MethodSpec, StudySpec


def stage_specs(
    method: MethodSpec, study: StudySpec, learning_rate: float, parts: Sequence[str] = PARTS
) -> list[QatStageSpec]:
    """The stages of the method's plan over a detector's parts: steps sum to the study's, loader and optimization are
    the study's, but for what the method changes."""
    changed: dict[str, float | str | None] = {"learning_rate": learning_rate, "ema_decay": method.ema_decay}
    loader = study.loader
    if method.num_steps is not None:
        changed["num_steps"] = method.num_steps
    if method.schedule is not None:
        changed["schedule"] = method.schedule
    if method.num_prompts is not None:
        loader = loader.model_copy(update={"num_prompts": method.num_prompts})
    train = QatSpec(
        is_quantized=method.is_quantized,
        prompt_split=method.prompt_split,
        batch_norm=method.batch_norm,
        transitions=method.transitions,
        fusion_balance=method.fusion_balance,
        loader=loader,
        optimization=study.optimization.model_copy(update=changed),
    )
    return planned_stages(PLANS[method.plan], train, method.distillation, parts)


def bits_of(method: MethodSpec, quantization: QuantSpec) -> QuantSpec:
    """The run's quantization with the method's own bits, widths, place of gates and calibration rule.

    Raises ValueError, naming the file, for widths that cannot be read.
    """
    changed: dict[str, object] = {}
    if method.bits is not None:
        changed = dict(zip(("weight_bits", "activation_bits", "attention_bits"), method.bits, strict=True))
    if method.widths is not None:
        changed["widths"] = read_widths(method.widths)
    if method.gate_exchange:
        changed["gate_exchange"] = True
    if method.ptq_rule is not None:
        changed |= {"weight_initialization": method.ptq_rule, "activation_initialization": method.ptq_rule}
    return QuantSpec.model_validate(quantization.model_dump() | changed)
