"""Steps, or epochs that become steps once the number of images is known."""

import pytest

from crqat_pipeline.training.loop import train
from crqat_pipeline.training.spec import OptimizationSpec
from crqat_pipeline.training.task import SupervisedTask
from tests.support.random_batches import random_batches, small_detector


def spec(**fields) -> OptimizationSpec:
    return OptimizationSpec.model_validate({"learning_rate": 1e-3, **fields})


@pytest.mark.parametrize(("images", "steps"), [(48, 1), (49, 2), (480, 10), (1, 1)])
def test_epochs_become_steps_over_all_accumulated_batches(images, steps):
    one = spec(num_epochs=1.0, accumulation_steps=4).for_images(images, batch_size=12)
    assert (one.num_steps, one.num_epochs) == (steps, None)


def test_parts_of_an_epoch_and_given_steps():
    assert spec(num_epochs=0.5).for_images(100, batch_size=10).num_steps == 5
    given = spec(num_steps=7)
    assert given.for_images(100, batch_size=10) is given


def test_a_warm_up_fits_into_the_epochs():
    assert spec(num_epochs=1.0, warmup_steps=10).for_images(100, batch_size=10).num_steps == 10
    with pytest.raises(ValueError, match=r"11 warmup_steps, and 1 epochs over 100 images take 10 steps"):
        spec(num_epochs=1.0, warmup_steps=11).for_images(100, batch_size=10)


@pytest.mark.parametrize("fields", [{}, {"num_steps": 3, "num_epochs": 1.0}, {"num_steps": None}, {"num_steps": 0}])
def test_exactly_one_length_is_given(fields):
    with pytest.raises(ValueError, match=r"give num_steps .* or num_epochs, not both"):
        spec(**fields)


def test_an_environment_takes_steps_back_with_null():
    assert spec(num_steps=None, num_epochs=2.0).num_epochs == 2.0


def test_the_loop_refuses_epochs_that_nobody_resolved():
    with pytest.raises(ValueError, match=r"needs a number of steps; got 1\.0 epochs"):
        train(SupervisedTask(small_detector()), random_batches, spec(num_epochs=1.0), label="test")
