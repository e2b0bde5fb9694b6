"""Put a model into a stage: which parts train, which stand still."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from torch import nn

from crqat_pipeline.curriculum.plan import Trained
from crqat_pipeline.detectors.protocol import OpenVocabularyDetector
from crqat_pipeline.quantization.batch_norm import BatchNormPolicy, set_batch_norm


def part_modules(detector: OpenVocabularyDetector, part: str) -> Iterator[nn.Module]:
    """The top modules of a part. Raises ValueError for a part the detector does not have."""
    if part not in detector.parts:
        raise ValueError(f"Unknown part {part!r}. This detector has: {', '.join(detector.parts)}.")
    for prefix in detector.parts[part]:
        yield detector.get_submodule(prefix)


def train_only(
    detector: OpenVocabularyDetector,
    parts: Collection[str],
    *,
    batch_norm: BatchNormPolicy = "frozen",
    trains: Trained = "weights",
) -> list[str]:
    """Gradients for these parts only; the others are in eval mode and will stay bit-identical.

    batch_norm: "frozen" keeps running statistics of the trained parts too (eval mode), "live" updates them.
    trains: "correction" trains gain and shift of the parts' BatchNorms only. With frozen statistics these are the
    corrections γ·h + β of EMA+QC (Gupta & Asthana, WACV 2024): they fold away and cost nothing.
    Returns the names of the trainable parameters. Raises ValueError for an unknown part or mode.
    """
    detector.eval()
    detector.requires_grad_(False)
    for part in parts:
        for module in part_modules(detector, part):
            module.requires_grad_(trains == "weights")
            module.train()
            if trains == "correction":
                for one in module.modules():
                    if isinstance(one, nn.BatchNorm2d):
                        one.requires_grad_(True)
    set_batch_norm(detector, batch_norm, parts)
    return [name for name, parameter in detector.named_parameters() if parameter.requires_grad]
