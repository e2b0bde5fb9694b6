"""Checks of losses and label assignment."""

from __future__ import annotations

import math

import torch

from crqat_pipeline.detectors import OpenVocabularyDetector
from crqat_pipeline.structures.batch import ImageTargets
from crqat_pipeline.testing.sample import images, objects, side_px, texts


def check_losses(detector: OpenVocabularyDetector) -> None:
    """Named as the class says, finite, above zero where there are objects; a gradient for every parameter."""
    torch.manual_seed(1)
    output = detector.train()(images(detector), texts(detector, 3))
    losses = detector.loss(output, objects(side_px(detector)))
    assert tuple(losses) == detector.loss_names, f"loss returns {detector.loss_names}; got {tuple(losses)}"
    values = {name: float(loss.detach()) for name, loss in losses.items()}
    assert all(math.isfinite(value) and value > 0 for value in values.values()), f"losses are above zero: {values}"
    torch.stack(list(losses.values())).sum().backward()  # type: ignore[no-untyped-call]
    unreached = [key for key, value in detector.named_parameters() if value.requires_grad and value.grad is None]
    assert not unreached, f"the loss reaches every parameter; not {unreached[:3]} ({len(unreached)} in all)"
    found = {key: value.grad for key, value in detector.named_parameters() if value.grad is not None}
    broken = [key for key, gradient in found.items() if not bool(gradient.isfinite().all())]
    assert not broken, f"gradients are finite; not so {broken[:3]}"


def check_no_objects(detector: OpenVocabularyDetector) -> None:
    """A batch without objects, with one prompt: finite losses with a gradient, no positives."""
    empty = ImageTargets(torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64))
    output = detector.train()(images(detector), texts(detector, 1))
    losses = detector.loss(output, (empty, empty))
    total = torch.stack(list(losses.values())).sum()
    total.backward()  # type: ignore[no-untyped-call]
    assert math.isfinite(float(total.detach())), f"losses without objects are finite; got {losses}"
    positives = detector.assign(output, (empty, empty))
    assert positives.score_P.shape == (0,), "an image without objects has no positives"


def check_assignment(detector: OpenVocabularyDetector) -> None:
    """Indices point at the objects given; ordered by image and region; scores in [0, 1]; no gradient."""
    torch.manual_seed(2)
    targets = objects(side_px(detector))
    output = detector(images(detector), texts(detector, 3))
    positives = detector.assign(output, targets)
    assert len(positives.score_P) > 0, "an object has positive regions"
    rows = zip(positives.image_P.tolist(), positives.object_P.tolist(), positives.prompt_P.tolist(), strict=True)
    are_labels = all(int(targets[image].labels_M[place]) == prompt for image, place, prompt in rows)
    assert are_labels, "prompt_P holds the labels of the objects"
    place_P = positives.image_P * output.boxes_BN4.shape[1] + positives.region_P
    assert bool((place_P.diff() >= 0).all()), "positives are ordered by image, then region"
    assert not positives.score_P.requires_grad, "the assignment carries no gradient"
    assert bool(((positives.score_P >= 0) & (positives.score_P <= 1)).all()), "scores lie in [0, 1]"
