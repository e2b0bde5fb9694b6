"""Figure 4: which images, whose classes, one scale, and the picture without its letterbox."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from crqat_pipeline.detection_data.image_folder import ImageFolder
from crqat_pipeline.detection_data.image_table import PreparedImage
from crqat_pipeline.detection_data.prepared_split import PreparedCategory, PreparedSplit
from crqat_pipeline.model_files.rebuilding import to_checkpoint
from crqat_pipeline.recipes.similarity import similarity_maps
from crqat_pipeline.recipes.specs import EvaluationSpec, NamedBuilderSpec
from crqat_pipeline.recipes.stage_data import TrainingData
from crqat_pipeline.structures.vocabulary import TextBank, Vocabulary
from tests.support.random_batches import small_detector

BOX = (1.0, 1.0, 20.0, 20.0)


@pytest.fixture
def data(tmp_path: Path) -> TrainingData:
    for name, size in (("a.png", (64, 64)), ("b.png", (64, 33)), ("c.png", (64, 64))):
        Image.new("RGB", size, "red").save(tmp_path / name)
    images = (
        PreparedImage(id=1, file_name="a.png", width=64, height=64),
        PreparedImage(id=2, file_name="b.png", width=64, height=33, boxes_xyxy=(BOX, BOX), category_ids=(9, 9)),
        PreparedImage(id=3, file_name="c.png", width=64, height=64, boxes_xyxy=(BOX,), category_ids=(5,)),
        PreparedImage(id=4, file_name="c.png", width=64, height=64, boxes_xyxy=(BOX,), category_ids=(8,)),
    )
    kinds = tuple(PreparedCategory(id=one, synonyms=(str(one),)) for one in (5, 8, 9))
    bank = TextBank(("cup", "lamp"), torch.randn(2, 64, generator=torch.Generator().manual_seed(0)), "test", False)
    return TrainingData(
        PreparedSplit(images=images, categories=kinds), ImageFolder(tmp_path), Vocabulary(("cup", "lamp"), (5, 9)), bank
    )


def test_the_first_images_with_classes_of_the_vocabulary(data: TrainingData) -> None:
    teacher = to_checkpoint(small_detector().state_dict(), NamedBuilderSpec(name="yolo_world_open_shapes"), None, ())
    spec = EvaluationSpec(image_size_px=64, heat_map_images=3)
    maps = similarity_maps({"teacher": teacher, "crqat": teacher}, data, spec, "cpu")
    assert [(one["file_name"], one["classes"]) for one in maps["images"]] == [("b.png", ["lamp"]), ("c.png", ["cup"])]
    for one in maps["images"]:
        assert np.shape(one["forms"]["teacher"]) == (8, 8)
        assert one["forms"]["teacher"] == one["forms"]["crqat"]
        assert np.abs(one["forms"]["teacher"]).max() <= 1
    fewer = similarity_maps({"teacher": teacher}, data, spec.model_copy(update={"heat_map_images": 0}), "cpu")
    assert fewer["images"] == []
