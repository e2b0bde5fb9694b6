"""A method at a learning rate, as the QAT stages that run it."""

from __future__ import annotations

from collections.abc import Sequence

from crqat_pipeline.curriculum.plan import PLANS
from crqat_pipeline.detectors.family import PARTS
from crqat_pipeline.quantization import QuantSpec
from crqat_pipeline.recipes.planned_stages import planned_stages
from crqat_pipeline.recipes.specs import QatSpec, QatStageSpec
from crqat_pipeline.study.spec import MethodSpec, StudySpec


def stage_specs(
    method: MethodSpec, study: StudySpec, learning_rate: float, parts: Sequence[str] = PARTS
) -> list[QatStageSpec]:
    """The stages of the method's plan over a detector's parts: steps sum to the study's, loader and optimization are
    the study's."""
    changed = {"learning_rate": learning_rate, "ema_decay": method.ema_decay}
    train = QatSpec(
        is_quantized=method.is_quantized,
        prompt_split=method.prompt_split,
        loader=study.loader,
        optimization=study.optimization.model_copy(update=changed),
    )
    return planned_stages(PLANS[method.plan], train, method.distillation, parts)


def bits_of(method: MethodSpec, quantization: QuantSpec) -> QuantSpec:
    """The run's quantization with the method's own bits and calibration rule."""
    changed: dict[str, object] = {}
    if method.bits is not None:
        changed = dict(zip(("weight_bits", "activation_bits", "attention_bits"), method.bits, strict=True))
    if method.ptq_rule is not None:
        changed |= {"weight_initialization": method.ptq_rule, "activation_initialization": method.ptq_rule}
    return QuantSpec.model_validate(quantization.model_dump() | changed)
