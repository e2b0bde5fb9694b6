"""Checks of what a detector answers."""

from __future__ import annotations

import copy

import torch

from crqat_pipeline.detectors import OpenVocabularyDetector
from crqat_pipeline.structures.output import DetectorOutput
from crqat_pipeline.testing.sample import images, texts

EXACT = torch.float64


def check_prompt_order(detector: OpenVocabularyDetector) -> None:
    """Another order of the prompts moves columns and nothing else."""
    detector = detector.double()
    pictures, text, order = images(detector, dtype=EXACT), texts(detector, 6, EXACT), torch.randperm(6)
    with torch.no_grad():
        first, second = detector(pictures, text), detector(pictures, text[order])
    assert first.class_logits_BNK.std(dim=(0, 1)).min() > 1e-4, "logits differ between regions"
    _close(second.class_logits_BNK, first.class_logits_BNK[..., order], "logits follow their prompts")
    _close(second.boxes_BN4, first.boxes_BN4, "boxes do not depend on the order of the prompts")


def check_text_per_image(detector: OpenVocabularyDetector) -> None:
    """Texts (B, K, D): each image is answered as if it were alone."""
    detector = detector.double()
    pictures = images(detector, dtype=EXACT)
    text = torch.stack([texts(detector, 4, EXACT) for _ in range(2)])
    with torch.no_grad():
        together = detector(pictures, text)
        for index in range(2):
            alone = detector(pictures[index : index + 1], text[index])
            _close(together.class_logits_BNK[index], alone.class_logits_BNK[0], "an image is answered as if alone")
            _close(together.boxes_BN4[index], alone.boxes_BN4[0], "an image is answered as if alone")


def check_features(detector: OpenVocabularyDetector) -> None:
    """`backbone_features` are the whole detector's features of these names."""
    pictures = images(detector, 1)
    with torch.no_grad():
        alone = detector.backbone_features(pictures)
        whole = detector(pictures, texts(detector, 3), return_features=True).features
    names = detector.backbone_feature_names
    assert tuple(alone) == names, f"backbone_features returns {names}; got {tuple(alone)}"
    assert all(torch.equal(alone[name], whole[name]) for name in names), "the backbone alone gives the same features"


def check_copies(detector: OpenVocabularyDetector) -> None:
    """A deep copy and a reloaded state answer the same; `frozen` does so to float rounding, without gradients."""
    pictures, text = images(detector), texts(detector, 3)
    with torch.no_grad():
        answer = detector(pictures, text)
        copied = copy.deepcopy(detector)
        copied.load_state_dict(detector.state_dict())
        _same(copied(pictures, text), answer, 0.0, "a copy answers the same")
        frozen = detector.frozen()
        _same(frozen(pictures, text), answer, 1e-2, "frozen() answers the same to rounding")
        _same(detector(pictures, text), answer, 0.0, "frozen() leaves the detector as it was")
    assert not frozen.training, "frozen() is in eval mode"
    assert not any(parameter.requires_grad for parameter in frozen.parameters()), "frozen() has no gradients"


def check_detections(detector: OpenVocabularyDetector) -> None:
    """At most as many as asked for, best first, above the threshold, of existing prompts."""
    with torch.no_grad():
        output = detector(images(detector), texts(detector, 4))
    for found in detector.detect(output, score_threshold=0.0, max_detections=7):
        assert 0 < len(found) <= 7, "threshold 0 finds something, at most max_detections"
        assert found.boxes_M4.shape == (len(found), 4), "boxes_M4 is (M, 4)"
        assert bool((found.scores_M.diff() <= 0).all()), "detections come best first"
        assert bool(((found.labels_M >= 0) & (found.labels_M < 4)).all()), "labels are columns of the prompts"
        assert bool(found.boxes_M4.isfinite().all()), "boxes are finite"
    highest = float(output.class_logits_BNK.sigmoid().max())
    if highest < 0.999:
        for found in detector.detect(output, score_threshold=0.999, max_detections=7):
            assert len(found) == 0, "nothing is found below the threshold"
            assert found.boxes_M4.shape == (0, 4), "no detection is a box tensor of shape (0, 4)"


def check_places(detector: OpenVocabularyDetector) -> None:
    """Each region has a centre in pixels; strides, if given, describe exactly the regions."""
    pictures = images(detector)
    with torch.no_grad():
        output = detector(pictures, texts(detector, 3))
    centres_BN2, (height, width) = detector.region_centres(output), pictures.shape[2:]
    assert centres_BN2.shape == (*output.boxes_BN4.shape[:2], 2), "region_centres is (B, N, 2)"
    strides = detector.level_strides()
    if strides:
        cells = sum((height // one) * (width // one) for one in strides)
        assert cells == output.boxes_BN4.shape[1], "level_strides gives one region per cell"


def _same(got: DetectorOutput, wanted: DetectorOutput, tolerance: float, promise: str) -> None:
    _close(got.class_logits_BNK, wanted.class_logits_BNK, promise, tolerance)
    _close(got.boxes_BN4, wanted.boxes_BN4, promise, tolerance)


def _close(got: torch.Tensor, wanted: torch.Tensor, promise: str, tolerance: float = 1e-9) -> None:
    assert got.shape == wanted.shape, f"{promise}: shape {tuple(got.shape)} instead of {tuple(wanted.shape)}"
    distance = float((got - wanted).abs().max())
    limit = tolerance * max(1.0, float(wanted.abs().max()))
    assert distance <= limit, f"{promise}; they are up to {distance:.3g} apart"
