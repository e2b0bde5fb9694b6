from pathlib import Path
from typing import Any

import pytest
import torch

from crqat_pipeline.detection_data import (
    ImageFileError,
    ImageFolder,
    LoaderSpec,
    PreparedSplit,
    prepare_split,
    restrict_vocabulary,
    training_batches,
    write_images,
)
from crqat_pipeline.detection_data.open_shapes import OpenShapes, OpenShapesSpec, draw_layout
from crqat_pipeline.structures.batch import DetectionBatch
from crqat_pipeline.structures.vocabulary import TextBank


@pytest.fixture(scope="module")
def layout() -> OpenShapes:
    return draw_layout(OpenShapesSpec(num_train_images=10, num_val_images=1, num_tune_images=1, num_qat_images=1))


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory, layout: OpenShapes) -> ImageFolder:
    folder = tmp_path_factory.mktemp("images")
    rendered = layout.rendered("train")
    write_images(folder, rendered.names, rendered.render, workers=1)
    return ImageFolder(folder)


@pytest.fixture(scope="module")
def split(layout: OpenShapes) -> PreparedSplit:
    return prepare_split(layout.annotations["train"])


def batches(
    layout: OpenShapes, images: ImageFolder, split: PreparedSplit, start: int, count: int, **options: Any
) -> list[DetectionBatch]:
    names = layout.vocabulary.names
    bank = TextBank(names, torch.arange(len(names)).float()[:, None].repeat(1, 3), "test", False)
    base = restrict_vocabulary(layout.vocabulary, layout.vocabulary.splits["base"])
    spec = LoaderSpec(**{"batch_size": 4, "image_size_px": 128, **options})
    return list(training_batches(split, images, bank, base, spec, 5, start, count))


def assert_equal(left: DetectionBatch, right: DetectionBatch) -> None:
    assert left.image_ids == right.image_ids
    assert torch.equal(left.images_B3HW, right.images_B3HW)
    assert torch.equal(left.text_embeddings, right.text_embeddings)
    for a, b in zip(left.targets, right.targets, strict=True):
        assert torch.equal(a.boxes_M4, b.boxes_M4)
        assert torch.equal(a.labels_M, b.labels_M)


ALL_AUGMENTATION = {"use_photometric": True, "use_affine": True, "mosaic_probability": 0.5}


@pytest.mark.parametrize("options", [{}, {"prompt_scope": "batch"}, ALL_AUGMENTATION])
def test_batches_depend_on_the_step_only(
    layout: OpenShapes, images: ImageFolder, split: PreparedSplit, options: dict[str, Any]
) -> None:
    whole = batches(layout, images, split, 0, 5, **options)
    resumed = batches(layout, images, split, 3, 2, **options)
    for left, right in zip(whole[3:], resumed, strict=True):
        assert_equal(left, right)


def test_loader_processes_change_nothing(layout: OpenShapes, images: ImageFolder, split: PreparedSplit) -> None:
    torch.manual_seed(1)
    single = batches(layout, images, split, 0, 4, **ALL_AUGMENTATION)
    torch.manual_seed(2)
    for left, right in zip(
        single, batches(layout, images, split, 0, 4, num_workers=2, **ALL_AUGMENTATION), strict=True
    ):
        assert_equal(left, right)


def test_the_global_generator_is_left_alone(layout: OpenShapes, images: ImageFolder, split: PreparedSplit) -> None:
    before = torch.get_rng_state()
    batches(layout, images, split, 0, 1)
    assert torch.equal(torch.get_rng_state(), before)


def test_an_epoch_shows_every_image_once(layout: OpenShapes, images: ImageFolder, split: PreparedSplit) -> None:
    ids = [number for batch in batches(layout, images, split, 0, 5) for number in batch.image_ids]
    assert sorted(ids[:10]) == sorted(ids[10:]) == [image.id for image in split.images]
    assert ids[:10] != ids[10:]


@pytest.mark.parametrize("scope", ["image", "batch"])
def test_labels_name_the_category_of_their_box(
    layout: OpenShapes, images: ImageFolder, split: PreparedSplit, scope: str
) -> None:
    record_of = {image.id: image for image in split.images}
    for batch in batches(layout, images, split, 0, 3, prompt_scope=scope, flip_probability=0.0, num_prompts=40):
        assert batch.images_B3HW.shape == (4, 3, 128, 128)
        assert 0 <= batch.images_B3HW.min() < batch.images_B3HW.max() <= 1
        assert batch.text_embeddings.shape == ((4, 40, 3) if scope == "image" else (40, 3))
        for row, (number, target) in enumerate(zip(batch.image_ids, batch.targets, strict=True)):
            record = record_of[number]
            texts_K = (batch.text_embeddings[row] if scope == "image" else batch.text_embeddings)[:, 0]
            assert texts_K[target.labels_M].tolist() == [category - 1 for category in record.category_ids]
            assert torch.allclose(target.boxes_M4, torch.tensor(record.boxes_xyxy))


def test_boxes_without_a_prompt_are_left_out(layout: OpenShapes, images: ImageFolder, split: PreparedSplit) -> None:
    (batch,) = batches(layout, images, split, 0, 1, prompt_scope="batch", num_prompts=5)
    assert batch.text_embeddings.shape == (5, 3)
    assert (
        5
        <= sum(len(target.labels_M) for target in batch.targets)
        < sum(len(image.category_ids) for image in split.images if image.id in batch.image_ids)
    )


@pytest.mark.parametrize("size", [96, 160])
def test_other_input_sizes(layout: OpenShapes, images: ImageFolder, split: PreparedSplit, size: int) -> None:
    (batch,) = batches(layout, images, split, 0, 1, image_size_px=size, **ALL_AUGMENTATION)
    assert batch.images_B3HW.shape == (4, 3, size, size)
    assert all(target.boxes_M4.max() <= size for target in batch.targets)


def test_categories_outside_the_vocabulary_are_refused(layout: OpenShapes, images: ImageFolder) -> None:
    everything = prepare_split(layout.annotations["val"])
    with pytest.raises(ValueError, match="48 categories that are not in the vocabulary"):
        batches(layout, images, everything, 0, 1)


def test_a_missing_image_is_named_from_a_loader_process(
    layout: OpenShapes, split: PreparedSplit, tmp_path: Path
) -> None:
    with pytest.raises(ImageFileError, match=r"00000\d\.jpg' does not exist"):
        batches(layout, ImageFolder(tmp_path), split, 0, 1, num_workers=1)
