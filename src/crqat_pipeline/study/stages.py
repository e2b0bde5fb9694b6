"""A method at a learning rate, as the QAT stages that run it."""

from __future__ import annotations

from crqat_pipeline.curriculum.plan import PLANS, windows
from crqat_pipeline.quantization import QuantSpec
from crqat_pipeline.recipes.specs import QatStageSpec
from crqat_pipeline.study.spec import MethodSpec, StudySpec


def stage_specs(method: MethodSpec, study: StudySpec, learning_rate: float) -> list[QatStageSpec]:
    """Steps are shared out by the plan and sum to the study's; terms are on where the plan has them on."""
    specs: list[QatStageSpec] = []
    shares_before, steps_before = 0.0, 0
    for window in windows(PLANS[method.plan]):
        stage = window.stage
        shares_before += stage.share
        steps_until = round(shares_before * study.optimization.num_steps)
        optimization = study.optimization.model_copy(
            update={
                "num_steps": steps_until - steps_before,
                "learning_rate": learning_rate * stage.rate_factor,
                "ema_decay": method.ema_decay if stage.trains == "weights" else None,
            }
        )
        specs.append(
            QatStageSpec(
                name=window.name,
                parts=window.parts,
                is_quantized=method.is_quantized,
                data_window=(window.data_start, window.data_stop),
                trains=stage.trains,
                prompt_split=method.prompt_split,
                loader=study.loader,
                optimization=optimization,
                distillation=method.distillation.only(stage.terms),
            )
        )
        steps_before = steps_until
    return specs


def bits_of(method: MethodSpec, quantization: QuantSpec) -> QuantSpec:
    """The run's quantization with the method's own bits and calibration rule."""
    changed: dict[str, object] = {}
    if method.bits is not None:
        changed = dict(zip(("weight_bits", "activation_bits", "attention_bits"), method.bits, strict=True))
    if method.ptq_rule is not None:
        changed |= {"weight_initialization": method.ptq_rule, "activation_initialization": method.ptq_rule}
    return QuantSpec.model_validate(quantization.model_dump() | changed)
