"""Every dataset: what was saved is loaded, and the same data give the same bytes."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from matplotlib.figure import Figure
from PIL import Image

from crqat_pipeline.catalog_io.annotations import AnnotationsDataset
from crqat_pipeline.catalog_io.artifact import ArtifactFile
from crqat_pipeline.catalog_io.checkpoint import SafetensorsCheckpoint
from crqat_pipeline.catalog_io.csv_folder import CsvFolder
from crqat_pipeline.catalog_io.csv_table import CsvTable
from crqat_pipeline.catalog_io.detections import DetectionsDataset
from crqat_pipeline.catalog_io.figure import FigureDataset
from crqat_pipeline.catalog_io.json_document import JsonDocument
from crqat_pipeline.catalog_io.prepared_split import PreparedSplitDataset
from crqat_pipeline.catalog_io.resume_folder import ResumeFolder
from crqat_pipeline.catalog_io.text_bank import TextBankDataset
from crqat_pipeline.catalog_io.text_file import TextFile
from crqat_pipeline.catalog_io.vocabulary import VocabularyDataset
from crqat_pipeline.detection_data.image_table import PreparedImage
from crqat_pipeline.detection_data.prepared_split import PreparedCategory, PreparedSplit
from crqat_pipeline.evaluation.detection_table import DetectionTable
from crqat_pipeline.structures.checkpoint import Checkpoint
from crqat_pipeline.structures.vocabulary import TextBank, Vocabulary

VOCABULARY = Vocabulary(("red ring", "moon"), (3, 7), (("red ring", "ring"), ("moon",)), {"novel": (7,), "base": (3,)})
SPLIT = PreparedSplit(
    images=(
        PreparedImage(id=1, file_name="a.jpg", width=9, height=7, boxes_xyxy=((0, 1, 2.5, 3),), category_ids=(3,)),
    ),
    categories=(PreparedCategory(id=3, synonyms=("red ring",), splits=("base",)),),
)


def path(folder: Path, name: str = "file") -> str:
    return str(folder / "new" / name)


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (VocabularyDataset, VOCABULARY),
        (PreparedSplitDataset, SPLIT),
        (TextFile, "<p>×</p>\n"),
        (JsonDocument, {"AP": 0.5, "forms": ["a", {"b": None}], "×": True}),
    ],
)
def test_value_comes_back_and_bytes_repeat(kind, value, tmp_path):
    first, second = kind(filepath=path(tmp_path, "1")), kind(filepath=path(tmp_path, "2"))
    first.save(value)
    assert first.load() == value
    second.save(first.load())
    assert first.path.read_bytes() == second.path.read_bytes()


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(shape=st.lists(st.integers(0, 5), max_size=3), seed=st.integers(0, 9), dtype=st.sampled_from(["f4", "i8", "i1"]))
def test_checkpoint_of_any_shape(tmp_path, shape, seed, dtype):
    kinds = {"f4": torch.float32, "i8": torch.int64, "i1": torch.int8}
    value = (torch.rand(shape, generator=torch.Generator().manual_seed(seed)) * 100).to(kinds[dtype])
    metadata = {"bits": [4, 4, 8], "name": "ä", "nested": {"seed": seed}}
    dataset = SafetensorsCheckpoint(filepath=path(tmp_path))
    dataset.save(Checkpoint({"weight": value, "bias": torch.ones(2)}, metadata))
    loaded = dataset.load()
    assert loaded.metadata == metadata
    assert loaded.tensors["weight"].dtype == value.dtype
    assert torch.equal(loaded.tensors["weight"], value)


def test_checkpoint_takes_shared_and_strided_tensors(tmp_path):
    weight = torch.arange(12.0).reshape(3, 4)
    dataset = SafetensorsCheckpoint(filepath=path(tmp_path))
    dataset.save(Checkpoint({"a": weight, "tied": weight, "transposed": weight.T, "row": weight[1]}))
    loaded = dataset.load().tensors
    assert torch.equal(loaded["a"], loaded["tied"])
    assert torch.equal(loaded["transposed"], weight.T)
    assert torch.equal(loaded["row"], weight[1])


def test_checkpoints_of_the_same_weights_have_the_same_bytes(tmp_path):
    tensors = {"b": torch.ones(3), "a": torch.zeros(2)}
    first, second = (SafetensorsCheckpoint(filepath=path(tmp_path, name)) for name in "12")
    first.save(Checkpoint(tensors, {"x": 1, "y": 2}))
    second.save(Checkpoint(dict(reversed(tensors.items())), {"y": 2, "x": 1}))
    assert first.path.read_bytes() == second.path.read_bytes()


def test_text_bank(tmp_path):
    bank = TextBank(("a", "b"), torch.eye(2, 5), "composed", is_normalized=True)
    dataset = TextBankDataset(filepath=path(tmp_path))
    dataset.save(bank)
    loaded = dataset.load()
    assert (loaded.prompts, loaded.encoder, loaded.is_normalized) == (bank.prompts, bank.encoder, True)
    assert torch.equal(loaded.embeddings_KD, bank.embeddings_KD)


def test_detections_including_an_empty_table(tmp_path):
    table = DetectionTable(np.array([1, 2]), np.array([3, 4]), np.arange(8.0).reshape(2, 4), np.array([0.9, 0.1]))
    dataset = DetectionsDataset(filepath=path(tmp_path))
    dataset.save({"coco/teacher": table, "lvis/int4": DetectionTable.empty()})
    loaded = dataset.load()
    assert list(loaded) == ["coco/teacher", "lvis/int4"]
    assert loaded["coco/teacher"].records() == table.records()
    assert len(loaded["lvis/int4"]) == 0
    first = dataset.path.read_bytes()
    dataset.save(loaded)
    assert dataset.path.read_bytes() == first


def test_table_from_frame_and_from_rows(tmp_path):
    dataset = CsvTable(filepath=path(tmp_path))
    rows = [{"step": 1, "loss": 0.1 + 0.2}, {"step": 2, "trkd": 3.0}]
    dataset.save(rows)
    from_rows = dataset.path.read_bytes()
    dataset.save(pd.DataFrame(rows))
    assert dataset.path.read_bytes() == from_rows
    pd.testing.assert_frame_equal(dataset.load(), pd.DataFrame(rows))


def test_table_without_rows_loads_without_columns(tmp_path):
    dataset = CsvTable(filepath=path(tmp_path))
    dataset.save(pd.DataFrame([]))
    assert dataset.load().empty


def test_folder_of_tables_by_name(tmp_path):
    dataset = CsvFolder(filepath=path(tmp_path))
    tables = {"qat": pd.DataFrame({"seed": [0, 1], "AP": [0.1 + 0.2, 0.5]}), "crqat": pd.DataFrame({"seed": [2]})}
    dataset.save(tables)
    loaded = dataset.load()
    assert list(loaded) == ["crqat", "qat"]
    for name, frame in tables.items():
        pd.testing.assert_frame_equal(loaded[name], frame)
    written = {each.name: each.read_bytes() for each in dataset.path.iterdir()}
    dataset.save(loaded)
    assert {each.name: each.read_bytes() for each in dataset.path.iterdir()} == written


def test_folder_of_tables_keeps_those_that_are_not_saved_again(tmp_path):
    dataset = CsvFolder(filepath=path(tmp_path))
    dataset.save({"qat": pd.DataFrame({"AP": [0.5]})})
    dataset.save({"crqat": pd.DataFrame({"AP": [0.6]})})
    assert list(dataset.load()) == ["crqat", "qat"]
    dataset.save({"qat": pd.DataFrame({"AP": [0.7]})})
    assert dataset.load()["qat"]["AP"].tolist() == [0.7]


def test_metrics_that_json_cannot_hold_become_null(tmp_path):
    dataset = JsonDocument(filepath=path(tmp_path))
    dataset.save({"AP": float("nan"), "list": [float("inf"), 1.0]})
    assert dataset.load() == {"AP": None, "list": [None, 1.0]}


def test_what_differs_between_equal_runs_stays_out_of_the_file(tmp_path):
    dataset = JsonDocument(filepath=path(tmp_path), omit=["seconds"])
    dataset.save({"final_loss": 0.5, "seconds": 12.3})
    assert dataset.load() == {"final_loss": 0.5}


def test_figures_of_matplotlib_and_pillow(tmp_path):
    dataset = FigureDataset(filepath=path(tmp_path))
    dataset.save(Image.new("RGB", (5, 3), "red"))
    assert dataset.load().getpixel((0, 0)) == (255, 0, 0)
    dataset.save(Figure(figsize=(1, 0.5), dpi=50))
    assert dataset.load().size == (110, 55)


def test_artifact_is_moved_into_place(tmp_path):
    dataset = ArtifactFile(filepath=path(tmp_path))
    dataset.save(lambda temporary: temporary.write_bytes(b"packed"))
    assert dataset.load().read_bytes() == b"packed"
    assert list(dataset.path.parent.iterdir()) == [dataset.path]


def test_resume_folder_is_made_on_load(tmp_path):
    assert ResumeFolder(filepath=path(tmp_path)).load().is_dir()


def test_image_names_of_an_annotation_file_may_begin_in_a_folder(tmp_path):
    path = tmp_path / "a.json"
    image = {"id": 1, "width": 8, "height": 8, "file_name": "val/a.jpg"}
    content = {"images": [image], "annotations": [], "categories": [{"id": 1, "name": "cat"}]}
    path.write_text(json.dumps(content), encoding="utf-8")
    loaded = AnnotationsDataset(filepath=str(path), given=True, images_below="coco/images").load()
    assert [one["file_name"] for one in loaded["images"]] == ["coco/images/val/a.jpg"]
