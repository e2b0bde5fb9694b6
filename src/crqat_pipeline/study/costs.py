"""What each method of a study costs: bytes and bit operations, from shapes and widths alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from crqat_pipeline.detectors import build_detector
from crqat_pipeline.quantization import QuantSpec, cost
from crqat_pipeline.recipes.specs import NamedBuilderSpec
from crqat_pipeline.study.spec import StudySpec
from crqat_pipeline.study.stages import bits_of


@dataclass(frozen=True)
class MethodCost:
    """size_mb: 2^20 bytes. bops_g: number of prompts -> 10^9 bit operations of one image."""

    size_mb: float
    bops_g: Mapping[int, float]


def method_costs(
    study: StudySpec, names: Iterable[str], detector: NamedBuilderSpec, quantization: QuantSpec, image_size_px: int
) -> dict[str, MethodCost]:
    """Cost of the student that each method gives, for square images of this side and the study's numbers of prompts."""
    subject = build_detector(detector.name, **detector.options)
    costs: dict[str, MethodCost] = {}
    for name in names:
        method = study.methods[name]
        spec = bits_of(method, quantization) if method.is_quantized and not method.is_teacher else None
        reports = {prompts: cost(subject, spec, image_size_px, prompts) for prompts in study.pareto.prompts}
        size_mb = next(iter(reports.values())).size_mb
        costs[name] = MethodCost(size_mb, {prompts: one.bops_t * 1e3 for prompts, one in reports.items()})
    return costs
