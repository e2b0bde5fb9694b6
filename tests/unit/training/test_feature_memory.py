"""A teacher that remembers its backbone's maps answers as one that computes them, and computes less."""

import torch

from crqat_pipeline.distillation.objective import DistillationSpec
from crqat_pipeline.training.feature_memory import FeatureMemory
from crqat_pipeline.training.task import DistillationTask
from tests.support.random_batches import random_batch, small_detector


class CountedBackbone:
    """Counts the images that it is asked about; 64 bytes of maps for each."""

    def __init__(self):
        self.num_images = 0

    def __call__(self, images_B3HW):
        self.num_images += len(images_B3HW)
        return {"c3": images_B3HW[:, :, ::4, ::4].clone(), "c4": images_B3HW.mean((2, 3), keepdim=True)}


def images(*seeds):
    made = [torch.rand(3, 8, 8, generator=torch.Generator().manual_seed(seed)) for seed in seeds]
    return torch.stack(made)


def test_each_image_is_computed_once_and_every_answer_is_that_of_the_backbone():
    counted, plain = CountedBackbone(), CountedBackbone()
    memory = FeatureMemory(counted, 2**20)
    for seeds in ((0, 1), (1, 2, 3), (3, 0, 2), (0, 0)):
        expected = plain(images(*seeds))
        assert all(torch.equal(value, expected[name]) for name, value in memory(images(*seeds)).items())
    assert counted.num_images == 2 + 2
    assert (memory.num_asked, memory.num_remembered) == (10, 6)


def test_a_single_missing_image_is_not_a_batch_of_one():
    counted = CountedBackbone()
    memory = FeatureMemory(counted, 2**20)
    memory(images(0, 1))
    expected = CountedBackbone()(images(1, 2))
    assert all(torch.equal(value, expected[name]) for name, value in memory(images(1, 2)).items())
    assert counted.num_images == 4


def test_a_mirrored_image_is_another_one():
    memory = FeatureMemory(CountedBackbone(), 2**20)
    memory(images(0, 1))
    memory(images(0, 1).flip(-1))
    assert memory.num_remembered == 0


def test_a_full_memory_keeps_what_came_first_and_goes_on_answering():
    counted = CountedBackbone()
    each_bytes = 3 * 4 * (2 * 2 + 1)
    memory = FeatureMemory(counted, 2 * each_bytes)
    memory(images(0, 1, 2, 3))
    expected = CountedBackbone()(images(3, 0, 2, 1))
    assert all(torch.equal(value, expected[name]) for name, value in memory(images(3, 0, 2, 1)).items())
    assert counted.num_images == 4 + 2


def test_losses_and_gradients_are_those_of_a_teacher_that_computes():
    """Bit for bit, for batches that mix images seen with new ones; and the maps keep their layout in memory."""
    spec = DistillationSpec(pkd={"weight": 6}, trkd={"weight": 6})
    batches = [random_batch(0, 4), random_batch(1, 4)]
    mixed = torch.cat([batches[0].images_B3HW[1:3], batches[1].images_B3HW[:2]])
    batches = [batches[0], type(batches[0])(mixed, batches[1].targets, batches[1].text_embeddings, (0, 1, 2, 3))]
    results = []
    for remembered_bytes in (0, 2**26):
        task = DistillationTask(small_detector(0).eval(), small_detector(1), spec, remembered_bytes=remembered_bytes)
        losses = [task.losses(batch) for batch in batches]
        sum(sum(one.values()) for one in losses).backward()
        gradients = [p.grad for p in task.detector.parameters() if p.grad is not None]
        results.append(([value for one in losses for value in one.values()], gradients))
        maps = task.teacher.backbone_features(mixed)
        assert all(one.is_contiguous(memory_format=torch.channels_last) for one in maps.values())
    (computed, computed_gradients), (remembered, remembered_gradients) = results
    assert all(torch.equal(a, b) for a, b in zip(computed, remembered, strict=True))
    assert all(torch.equal(a, b) for a, b in zip(computed_gradients, remembered_gradients, strict=True))
