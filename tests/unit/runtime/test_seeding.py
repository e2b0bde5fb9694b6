"""Seeds depend on every key and on nothing else."""

import pytest
import torch

from crqat_pipeline.runtime.lookup import look_up
from crqat_pipeline.runtime.seeding import derive_seed, numpy_generator, torch_generator


def test_the_same_keys_give_the_same_draws_and_others_do_not():
    assert derive_seed(0, "a", 1) == derive_seed(0, "a", 1)
    assert len({derive_seed(*keys) for keys in [(0, "a", 1), (0, "a", 2), (1, "a", 1), (0, "b", 1)]}) == 4
    assert torch.equal(torch.rand(3, generator=torch_generator(5)), torch.rand(3, generator=torch_generator(5)))
    assert numpy_generator(5).random() == numpy_generator(5).random()


def test_a_near_name_is_suggested():
    with pytest.raises(ValueError, match=r"Unknown detector 'yolo_wrld'. Did you mean 'yolo_world'\?"):
        look_up({"yolo_world": 1, "omdet": 2}, "yolo_wrld", "detector")
