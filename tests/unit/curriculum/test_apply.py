"""Who trains in a stage, and who stands still."""

import pytest
import torch

from crqat_pipeline.curriculum.apply import train_only
from crqat_pipeline.quantization import QuantSpec, calibrate, prepare, quantizer_parameters, set_quantized
from crqat_pipeline.training.loop import train
from crqat_pipeline.training.spec import OptimizationSpec
from crqat_pipeline.training.task import SupervisedTask
from tests.support.random_batches import random_batch, random_batches, small_detector


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


def test_correction_trains_gain_and_shift_and_nothing_else():
    """EMA+QC: weights, steps, zero points and running statistics stay to the bit, quantized or not."""
    detector, batch = small_detector(), random_batch(0)
    prepare(detector, QuantSpec.parse("4-4-8"))
    calibrate(detector, [(batch.images_B3HW, batch.text_embeddings)], detector.parts)
    set_quantized(detector, detector.parts)
    before = {name: value.clone() for name, value in detector.state_dict().items()}
    names = train_only(detector, ["backbone", "neck", "head"], trains="correction")
    norms = {name for name, module in detector.named_modules() if isinstance(module, torch.nn.BatchNorm2d)}
    expected = {f"{norm}.{kind}" for norm in norms for kind in ("weight", "bias")}
    assert set(names) == expected
    spec = OptimizationSpec(num_steps=2, learning_rate=1e-2, weight_decay=0.1)
    steps = quantizer_parameters(detector)
    train(SupervisedTask(detector), random_batches, spec, label="test", quantizer_parameters=steps)
    changed = {name for name, value in detector.state_dict().items() if not torch.equal(value, before[name])}
    assert changed <= expected
    assert {name.split(".")[0] for name in changed} == {"backbone", "neck", "head"}


def test_correction_of_one_part_leaves_the_others_alone():
    names = train_only(small_detector(), ["neck"], trains="correction")
    assert names
    assert all(name.startswith("neck.") for name in names)


def test_unknown_part_is_refused_with_the_parts_there_are():
    with pytest.raises(ValueError, match=r"Unknown part 'nek'\. This detector has: backbone, neck, head"):
        train_only(small_detector(), ["nek"])
