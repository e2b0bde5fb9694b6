"""Broken files and wrong uses: one clear message each."""

import errno
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from kedro.io import DatasetError

from crqat_pipeline.catalog_io.annotations import AnnotationsDataset
from crqat_pipeline.catalog_io.artifact import ArtifactFile
from crqat_pipeline.catalog_io.checkpoint import SafetensorsCheckpoint
from crqat_pipeline.catalog_io.detections import DetectionsDataset
from crqat_pipeline.catalog_io.figure import FigureDataset
from crqat_pipeline.catalog_io.given import GIVEN
from crqat_pipeline.catalog_io.image_folder import ImageFolderDataset
from crqat_pipeline.catalog_io.json_document import JsonDocument
from crqat_pipeline.catalog_io.prepared_split import PreparedSplitDataset
from crqat_pipeline.catalog_io.resume_folder import ResumeFolder
from crqat_pipeline.catalog_io.text_bank import TextBankDataset
from crqat_pipeline.catalog_io.vocabulary import VocabularyDataset
from crqat_pipeline.evaluation.detection_table import DetectionTable
from crqat_pipeline.structures.checkpoint import Checkpoint


@pytest.fixture
def file(tmp_path) -> Path:
    return tmp_path / "file"


def test_a_truncated_checkpoint(file):
    dataset = SafetensorsCheckpoint(filepath=str(file))
    dataset.save(Checkpoint({"weight": torch.ones(100)}))
    file.write_bytes(file.read_bytes()[:200])
    with pytest.raises(DatasetError, match=r"file \(200 bytes\) is not a whole safetensors file"):
        dataset.load()


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 a zip", bytes(range(200, 250))])
def test_what_is_no_checkpoint(file, content):
    file.write_bytes(content)
    with pytest.raises(DatasetError, match="is not a whole safetensors file"):
        SafetensorsCheckpoint(filepath=str(file)).load()


def test_another_tensor_file_is_no_text_bank_and_no_detections(file):
    SafetensorsCheckpoint(filepath=str(file)).save(Checkpoint({"weight": torch.ones(1)}))
    with pytest.raises(DatasetError, match=r"prompts: field required.*kedro run --pipelines=data_prep"):
        TextBankDataset(filepath=str(file)).load()


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 a zip", bytes(range(200, 250))])
def test_what_is_no_detections_file(file, content):
    file.write_bytes(content)
    with pytest.raises(
        DatasetError, match=rf"must be a whole \.npz with the columns image_ids_M, .*{len(content)} bytes"
    ):
        DetectionsDataset(filepath=str(file)).load()


def test_detections_that_were_cut_or_lack_a_column(file):
    table = DetectionTable(np.arange(99), np.arange(99), np.ones((99, 4)), np.linspace(0, 1, 99))
    DetectionsDataset(filepath=str(file)).save({"coco/teacher": table})
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DatasetError, match="must be a whole"):
        DetectionsDataset(filepath=str(file)).load()
    with file.open("wb") as stream:
        np.savez_compressed(stream, tables=np.array(["coco/teacher"]))
    with pytest.raises(DatasetError, match="coco/teacher/image_ids_M"):
        DetectionsDataset(filepath=str(file)).load()


def test_an_optional_input_that_nobody_names_is_absent(file):
    absent = AnnotationsDataset(filepath=None, given=True, optional=True)
    absent.save(GIVEN)
    assert absent.missing() == []
    assert absent.load() is None
    named = AnnotationsDataset(filepath=str(file), given=True, optional=True)
    assert named.missing() == [f"nothing at {file}"]
    with pytest.raises(DatasetError, match="optional: true is for a given entry"):
        AnnotationsDataset(filepath=str(file), optional=True)


def test_annotations_that_are_not_json(file):
    file.write_text('{"images": [,]}')
    with pytest.raises(DatasetError, match=r"must be JSON; .*file is not: Expecting value at line 1, column 13"):
        AnnotationsDataset(filepath=str(file)).load()


@pytest.mark.parametrize(("content", "rule"), [(b"\xff\xfe\x00", "JSON text in UTF-8"), (b"[1]", "holds a list")])
def test_annotations_of_another_kind(file, content, rule):
    file.write_bytes(content)
    with pytest.raises(DatasetError, match=rule):
        AnnotationsDataset(filepath=str(file)).load()


def test_annotations_that_are_a_folder(tmp_path):
    with pytest.raises(DatasetError, match="is a folder"):
        AnnotationsDataset(filepath=str(tmp_path)).load()


@pytest.mark.parametrize("kind", [VocabularyDataset, PreparedSplitDataset])
def test_json_of_another_kind(kind, file):
    file.write_text('{"names": []}')
    with pytest.raises(DatasetError, match="pipelines=data_prep"):
        kind(filepath=str(file)).load()


def test_a_picture_that_is_none(file):
    file.write_text("no picture")
    with pytest.raises(DatasetError, match="must be a whole PNG"):
        FigureDataset(filepath=str(file)).load()


@pytest.mark.parametrize("kind", [SafetensorsCheckpoint, JsonDocument, VocabularyDataset, ArtifactFile])
def test_a_file_that_is_not_there_yet(kind, file):
    with pytest.raises(DatasetError, match=r"must exist before it is read.*kedro run"):
        kind(filepath=str(file)).load()


def test_no_space_left_names_the_file_and_keeps_the_old_one(file, monkeypatch):
    dataset = JsonDocument(filepath=str(file))
    dataset.save({"old": 1})

    def full(*arguments, **named):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(DatasetError, match=f"Could not write {file}: No space left on device"):
        dataset.save({"new": 2})
    monkeypatch.undo()
    assert dataset.load() == {"old": 1}


def test_a_failing_writer_leaves_nothing_behind(file):
    def fail(temporary: Path) -> None:
        temporary.write_text("half")
        raise ValueError("no")

    with pytest.raises(DatasetError, match="no"):
        ArtifactFile(filepath=str(file)).save(fail)
    assert list(file.parent.iterdir()) == []


def test_given_files_are_read_and_never_written(tmp_path, file):
    content = {
        "images": [{"id": 1, "width": 2, "height": 2}],
        "annotations": [],
        "categories": [{"id": 1, "name": "a"}],
    }
    file.write_text(json.dumps(content))
    dataset = AnnotationsDataset(filepath=str(file), given=True)
    dataset.save(GIVEN)
    assert dataset.load() == content
    with pytest.raises(DatasetError, match="read and never written"):
        dataset.save({"images": [1]})
    assert dataset.load() == content


def test_annotations_say_their_faults_when_they_are_used(file):
    file.write_text('{"images": [{"id": 1}], "annotations": [], "categories": []}')
    annotations = AnnotationsDataset(filepath=str(file)).load()
    with pytest.raises(ValueError, match=r"(?s)3 fault\(s\).*file:.*images\[0\].width is missing"):
        annotations["images"]


def test_how_annotations_are_read_is_checked(file):
    file.write_text("{}")
    with pytest.raises(DatasetError, match=r"(?s)describes the reading of .*faulty_boxes"):
        AnnotationsDataset(filepath=str(file), reading={"faulty_boxes": "fix"}).load()


def test_given_but_absent(file):
    with pytest.raises(DatasetError, match=r"must exist; there is nothing at .*file"):
        ImageFolderDataset(filepath=str(file), given=True).save(GIVEN)


def test_given_but_not_named():
    dataset = ImageFolderDataset(filepath=None, given=True)
    assert not dataset.exists()
    with pytest.raises(DatasetError, match=r"--params <entry>=<path>"):
        dataset.load()


def test_made_entries_need_data(file):
    with pytest.raises(DatasetError, match="not marked given: true"):
        AnnotationsDataset(filepath=str(file)).save(GIVEN)


def test_images_in_a_file(file):
    file.write_text("")
    with pytest.raises(DatasetError, match="must lie in a folder"):
        ImageFolderDataset(filepath=str(file)).load()


def test_resume_folders_are_not_returned_by_nodes(file):
    with pytest.raises(DatasetError, match="written by the training loop"):
        ResumeFolder(filepath=str(file)).save({"a": 1})
