"""Detectors with folded BatchNorm agree with the original, with negative BatchNorm gains and maps of odd size."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from crqat_pipeline.detectors import build_detector
from crqat_pipeline.detectors.one_stage.fold import fold_batch_norm
from crqat_pipeline.structures.output import DetectorOutput


@pytest.fixture(params=[1, 2], ids=["v1", "v2"])
def detector(request: pytest.FixtureRequest, enliven: Callable[..., nn.Module]) -> nn.Module:
    made = enliven(build_detector("yolo_world_open_shapes", version=request.param))
    gains = torch.cat([m.weight for m in made.modules() if isinstance(m, nn.BatchNorm2d)])
    assert (gains < 0).any()
    return made


def _agree(first: DetectorOutput, second: DetectorOutput, tolerance: float = 1e-4) -> None:
    """Logits within the tolerance, boxes within the tolerance times the largest stride."""
    assert first.class_logits_BNK.std() > 0.1, "the comparison needs a signal"
    torch.testing.assert_close(second.class_logits_BNK, first.class_logits_BNK, rtol=0, atol=tolerance)
    torch.testing.assert_close(second.boxes_BN4, first.boxes_BN4, rtol=0, atol=32 * tolerance)


@torch.no_grad()
def test_batch_norm_folds_with_text_still_an_input(detector: nn.Module, scene: Callable[..., Tensor]) -> None:
    folded = fold_batch_norm(detector)
    for images, text in (
        (scene(2, 96, 160), torch.randn(7, 64)),
        (scene(1, 32, 32), torch.randn(1, 64)),
    ):
        plain, deployed = detector(images, text), folded(images, text)
        _agree(plain, deployed)
        torch.testing.assert_close(deployed.region_embeddings_BND, plain.region_embeddings_BND, rtol=1e-4, atol=1e-4)
    norms = [name for name, module in folded.named_modules() if isinstance(module, nn.BatchNorm2d)]
    assert len(norms) == (0 if detector.spec.version == 1 else 3)
    assert any(isinstance(module, nn.BatchNorm2d) for module in detector.backbone.modules()), "the original is kept"


def test_what_cannot_fold_is_refused() -> None:
    detector = build_detector("yolo_world_open_shapes", version=1)
    with pytest.raises(ValueError, match=r"backbone\.stem holds Conv2d and Identity"):
        fold_batch_norm(fold_batch_norm(detector))
