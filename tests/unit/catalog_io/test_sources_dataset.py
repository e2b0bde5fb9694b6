"""Sources in the catalog: given, lazily read, all missing paths named."""

import pytest
from kedro.io import DatasetError

from crqat_pipeline.catalog_io.given import GIVEN
from crqat_pipeline.catalog_io.sources import SourceAnnotationsDataset, SourceImagesDataset
from tests.support.published_layouts import grounding, write_json


def sources(folder):
    return {"gqa": {"layout": "grounding", "annotations": str(folder / "a.json"), "images": str(folder / "images")}}


def test_both_entries_load_what_lies_there(tmp_path):
    write_json(tmp_path / "a.json", grounding())
    (tmp_path / "images").mkdir()
    annotations, images = (
        kind(sources=sources(tmp_path), filepath=None, given=True)
        for kind in (SourceAnnotationsDataset, SourceImagesDataset)
    )
    annotations.save(GIVEN)
    images.save(GIVEN)
    assert annotations.exists()
    assert len(annotations.load()["images"]) == 4
    assert images.load().folders["gqa"].root == tmp_path / "images"


def test_missing_paths_are_named_by_source(tmp_path):
    dataset = SourceImagesDataset(sources=sources(tmp_path))
    assert dataset.missing() == [f"nothing at {tmp_path / 'images'} (gqa)"]
    assert not dataset.exists()
    with pytest.raises(DatasetError, match=r"Given inputs must exist; nothing at .*images \(gqa\)"):
        dataset.save(GIVEN)


def test_writing_and_paths_of_other_kinds_are_refused(tmp_path):
    with pytest.raises(DatasetError, match="read and never written"):
        SourceImagesDataset(sources=sources(tmp_path)).save("data")
    with pytest.raises(DatasetError, match=r"set filepath: null \(got 'x'\)"):
        SourceImagesDataset(sources=sources(tmp_path), filepath="x")
    wrong = {"gqa": {"layout": "groundning", "annotations": "a", "images": "b"}}
    with pytest.raises(DatasetError, match=r"describes a source wrongly: (?s:.*)layout"):
        SourceAnnotationsDataset(sources=wrong).load()
