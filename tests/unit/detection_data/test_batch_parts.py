"""The parts of a batch are rows of the whole batch, to the bit, and no file of another worker's part is opened."""

from __future__ import annotations

import pytest
import torch

from crqat_pipeline.detection_data.image_folder import ImageFolder
from crqat_pipeline.detection_data.loader_spec import LoaderSpec
from crqat_pipeline.detection_data.training_loader import WHOLE, BatchPart, training_batches
from crqat_pipeline.recipes.data import training_vocabulary
from tests.support.tiny_study import study_problem

AUGMENTED = {"use_photometric": True, "use_affine": True, "mosaic_probability": 0.7, "scale_gain": 0.9}
PLAIN = {"image_size_px": 64, "batch_size": 5, "num_prompts": 6}


class CountingFolder(ImageFolder):
    """Remembers what was opened."""

    def __init__(self, root):
        super().__init__(root)
        self.opened = []

    def open(self, file_name):
        self.opened.append(file_name)
        return super().open(file_name)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return study_problem(tmp_path_factory.mktemp("images")).qat


def batches(data, options, part=WHOLE, images=None):
    spec = LoaderSpec(**PLAIN | options)
    prompts = training_vocabulary(data.split, data.vocabulary)
    return list(training_batches(data.split, images or data.images, data.text_bank, prompts, spec, 7, 2, 3, part))


@pytest.mark.parametrize("options", [{}, AUGMENTED, {"prompt_scope": "batch"}, AUGMENTED | {"prompt_scope": "batch"}])
@pytest.mark.parametrize("workers", [2, 3, 5])
def test_parts_put_together_are_the_batch(data, options, workers):
    whole = batches(data, options)
    parts = [batches(data, options, BatchPart(number, workers)) for number in range(workers)]
    for batch, *own in zip(whole, *parts, strict=True):
        assert torch.equal(batch.images_B3HW, torch.cat([one.images_B3HW for one in own]))
        assert batch.image_ids == tuple(image for one in own for image in one.image_ids)
        targets = [target for one in own for target in one.targets]
        for expected, target in zip(batch.targets, targets, strict=True):
            assert torch.equal(expected.boxes_M4, target.boxes_M4)
            assert torch.equal(expected.labels_M, target.labels_M)
        if batch.text_embeddings.ndim == 3:
            assert torch.equal(batch.text_embeddings, torch.cat([one.text_embeddings for one in own]))
        else:
            assert all(torch.equal(batch.text_embeddings, one.text_embeddings) for one in own)


def test_a_worker_opens_the_files_of_its_own_part(data):
    counting = CountingFolder(data.images.root)
    batches(data, {}, BatchPart(1, 2), counting)
    assert len(counting.opened) == 3 * 3


def test_a_batch_that_leaves_a_worker_without_an_image_is_refused():
    with pytest.raises(ValueError, match=r"got 6 workers for batches of 5\. Raise batch_size"):
        BatchPart(0, 6).rows(5)
