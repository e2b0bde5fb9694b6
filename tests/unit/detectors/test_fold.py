"""Folded and unfolded detectors agree, with negative BatchNorm gains and maps of odd size."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from crqat_pipeline.detectors import build_detector
from crqat_pipeline.detectors.yolo_world.fold import fold_batch_norm, fold_vocabulary
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


@torch.no_grad()
def test_a_fixed_vocabulary_folds(detector: nn.Module, scene: Callable[..., Tensor]) -> None:
    images, text = scene(2, 96, 160), 3 * torch.randn(9, 64)
    plain = detector(images, text)
    folded = fold_vocabulary(fold_batch_norm(detector), text)
    _agree(plain, folded(images))
    found = folded.detect(folded(images), score_threshold=0.0, max_detections=3)
    assert [len(detections) for detections in found] == [3, 3]


@torch.no_grad()
def test_in_double_precision_folding_is_exact_to_rounding(detector: nn.Module, scene: Callable[..., Tensor]) -> None:
    detector = detector.double()
    images, text = scene(1, 64, 96).double(), torch.randn(4, 64).double()
    _agree(detector(images, text), fold_vocabulary(fold_batch_norm(detector), text)(images), tolerance=1e-10)


@torch.no_grad()
def test_the_linear_tail_of_version_2_merges(enliven: Callable[..., nn.Module], scene: Callable[..., Tensor]) -> None:
    detector = enliven(build_detector("yolo_world_open_shapes", version=2))
    images, text = scene(1, 32, 96), torch.randn(5, 64)
    merged = fold_vocabulary(detector, text, keeps_embeddings=False)
    output = merged(images)
    _agree(detector(images, text), output)
    assert output.region_embeddings_BND.shape[2] == 0
    convs = [m for m in merged.detector.head.modules() if isinstance(m, nn.Conv2d) and m.out_channels == 5]
    assert [conv.in_channels for conv in convs] == [48, 48, 48]


def test_what_cannot_fold_is_refused(enliven: Callable[..., nn.Module]) -> None:
    detector = build_detector("yolo_world_open_shapes", version=1)
    with pytest.raises(ValueError, match="cannot be merged away"):
        fold_vocabulary(detector, torch.randn(5, 64), keeps_embeddings=False)
    with pytest.raises(ValueError, match=r"got \(2, 5, 64\)"):
        fold_vocabulary(detector, torch.randn(2, 5, 64))
    with pytest.raises(ValueError, match=r"got \(5, 32\)"):
        fold_vocabulary(detector, torch.randn(5, 32))
    with pytest.raises(ValueError, match=r"backbone\.stem holds Conv2d and Identity"):
        fold_batch_norm(fold_batch_norm(detector))
