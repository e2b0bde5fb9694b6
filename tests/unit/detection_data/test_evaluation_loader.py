from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from crqat_pipeline.detection_data import (
    ImageFolder,
    LoaderSpec,
    evaluation_batches,
    prepare_split,
    read_json_annotations,
)
from crqat_pipeline.detection_data.image_table import PreparedImage
from crqat_pipeline.detection_data.prepared_split import PreparedCategory, PreparedSplit

SHARED = Path(__file__).parents[4] / "shared" / "data" / "coco_mini"
SIZES = [(64, 48), (33, 71), (20, 20)]


@pytest.fixture
def split(tmp_path: Path) -> PreparedSplit:
    random = np.random.default_rng(0)
    records = []
    for number, (width, height) in enumerate(SIZES):
        Image.fromarray(random.integers(0, 255, (height, width, 3), dtype=np.uint8)).save(tmp_path / f"{number}.png")
        records.append(PreparedImage(id=number, file_name=f"{number}.png", width=width, height=height))
    return PreparedSplit(images=tuple(records), categories=(PreparedCategory(id=1, synonyms=("cat",)),))


@pytest.mark.parametrize("num_workers", [0, 1])
def test_every_image_comes_once_in_order(split: PreparedSplit, tmp_path: Path, num_workers: int) -> None:
    spec = LoaderSpec(image_size_px=64, batch_size=2, num_workers=num_workers)
    batches = list(evaluation_batches(split, ImageFolder(tmp_path), spec))
    assert [batch.image_ids for batch in batches] == [(0, 1), (2,)]
    assert [tuple(batch.images_B3HW.shape) for batch in batches] == [(2, 3, 64, 64), (1, 3, 64, 64)]
    pixels = np.asarray(Image.open(tmp_path / "0.png")).astype(np.float32) / 255
    assert np.array_equal(batches[0].images_B3HW[0, :, 8:56].numpy(), pixels.transpose(2, 0, 1))
    assert batches[0].images_B3HW[0, 0, 0, 0] == np.float32(114) / np.float32(255)


def test_whole_images_map_back_to_their_size(split: PreparedSplit, tmp_path: Path) -> None:
    for batch in evaluation_batches(split, ImageFolder(tmp_path), LoaderSpec(), 96, 3):
        for index, (width, height) in enumerate(SIZES):
            everything = torch.tensor([[0.0, 0.0, 96.0, 96.0]])
            assert batch.to_original(index, everything).tolist() == [[0, 0, width, height]]


@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared photographs (coco_mini) are not beside the project")
def test_real_photographs_are_fitted() -> None:
    annotations = read_json_annotations(SHARED / "annotations" / "instances_val.json")
    split = prepare_split(annotations, max_images=6)
    for batch in evaluation_batches(split, ImageFolder(SHARED / "images"), LoaderSpec(), 160, 6):
        for record, geometry in zip(split.images, batch.letterboxes, strict=True):
            assert (geometry.original_width, geometry.original_height) == (record.width, record.height)
            assert geometry.scale_x == pytest.approx(geometry.scale_y, rel=0.01)
