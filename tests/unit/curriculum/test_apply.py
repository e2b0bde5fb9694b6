"""Who trains in a stage, and who stands still."""

import pytest
import torch

from crqat_pipeline.curriculum.apply import train_only
from crqat_pipeline.training.loop import train
from crqat_pipeline.training.spec import OptimizationSpec
from crqat_pipeline.training.task import SupervisedTask
from tests.support.random_batches import random_batches, small_detector


@pytest.mark.parametrize("batch_norm", ["frozen", "live"])
def test_stage_one_leaves_later_parts_bit_identical(batch_norm):
    detector = small_detector()
    before = {name: value.clone() for name, value in detector.state_dict().items()}
    train_only(detector, ["backbone"], batch_norm=batch_norm)
    spec = OptimizationSpec(num_steps=2, learning_rate=1e-2, weight_decay=0.1)
    train(SupervisedTask(detector), random_batches, spec, label="test")
    changed = {name for name, value in detector.state_dict().items() if not torch.equal(value, before[name])}
    assert changed
    assert all(name.startswith("backbone.") for name in changed)
    assert any("running_mean" in name for name in changed) == (batch_norm == "live")


def test_unknown_part_is_refused_with_the_parts_there_are():
    with pytest.raises(ValueError, match=r"Unknown part 'nek'\. This detector has: backbone, neck, head"):
        train_only(small_detector(), ["nek"])
