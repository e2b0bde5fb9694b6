"""On several workers the losses of every family, and every distillation loss, are parts that add up to the whole."""

from __future__ import annotations

import pytest
import torch

from crqat_pipeline.detectors import FAMILIES
from crqat_pipeline.distillation.loss import TeacherView
from crqat_pipeline.distillation.table import LOSSES
from crqat_pipeline.runtime.ranks import num_ranks, rank
from crqat_pipeline.testing import lively
from crqat_pipeline.testing.sample import images, objects, side_px, texts
from tests.support.two_workers import on_workers

ROWS = {name: (family, options) for family in FAMILIES.values() for name, options in family.tested}


def losses_and_gradients(name):
    """This worker's parts of all losses by name, and of their gradient to the raw pixels, in one number per image."""
    family, options = ROWS[name]
    builder = family.detectors[name]
    detector = lively(builder, options).double()
    torch.manual_seed(1)
    images_B3HW, texts_KD = images(detector, 4, dtype=torch.float64), texts(detector, 4, dtype=torch.float64)
    found, empty = objects(side_px(detector))
    targets = (found, found, empty, empty)
    teacher = lively(builder, options).double().requires_grad_(False)
    with torch.no_grad():
        for parameter in detector.parameters():
            parameter.mul_(1.05)
    rows = slice(rank() * 4 // num_ranks(), (rank() + 1) * 4 // num_ranks())
    own_B3HW, own_targets = images_B3HW[rows].requires_grad_(), targets[rows]
    output = detector(own_B3HW, texts_KD, return_features=True)
    answer = teacher(own_B3HW.detach(), texts_KD, return_features=True)
    losses = dict(detector.loss(output, own_targets))
    view = TeacherView(
        {name: answer.features[name] for name in teacher.backbone_feature_names},
        answer,
        teacher.assign(answer, own_targets),
        {name: answer.features[name] for name in teacher.neck_feature_names},
    )
    for key, loss in LOSSES.items():
        if key == "qfd" and not teacher.neck_feature_names:
            continue
        losses |= loss.function(output, view, loss.spec(weight=1.0))
    gradients = {
        key: torch.autograd.grad(loss, own_B3HW, retain_graph=True)[0].abs().sum((1, 2, 3)).tolist()
        for key, loss in losses.items()
    }
    return {key: float(loss.detach()) for key, loss in losses.items()}, gradients


@pytest.mark.parametrize("name", ROWS)
def test_parts_add_up_to_the_losses_of_the_whole_batch(name):
    """The second worker's images have no object."""
    family, _ = ROWS[name]
    if family.missing_modules:
        pytest.skip(f"the family {family.name} needs {' and '.join(family.missing_modules)}, not installed here")
    ((whole, whole_gradients),) = on_workers(1, losses_and_gradients, name)
    (first, first_gradients), (second, second_gradients) = on_workers(2, losses_and_gradients, name)
    for key, value in whole.items():
        assert first[key] + second[key] == pytest.approx(value, rel=1e-6, abs=1e-9), key
        parts = [*first_gradients[key], *second_gradients[key]]
        assert parts == pytest.approx(whole_gradients[key], rel=1e-5, abs=1e-9), key
