"""The user's own inputs: named, present, all faults at once."""

import json

import pytest
from kedro.pipeline import Node, Pipeline

from crqat_pipeline.hooks.checks.given_check import GivenInputError

ENTRY = {"type": "crqat_pipeline.catalog_io.annotations.AnnotationsDataset", "given": True}


def count(train: dict, val: dict) -> dict:
    return {"images": len(train["images"]) + len(val["images"])}


@pytest.fixture
def reading(dummy):
    names = ("train_annotations", "val_annotations")
    dummy.write("mine", "catalog", {name: ENTRY | {"filepath": f"${{runtime_params:{name},null}}"} for name in names})
    node = Node(count, list(names), "data_metrics", name="count", namespace="data")
    dummy.register(data=Pipeline([node]))
    return dummy


def test_unnamed_inputs_are_listed_with_the_option_to_give(reading, mlflow_store):
    with pytest.raises(GivenInputError) as refusal:
        reading.run("data", env="mine")
    text = str(refusal.value)
    assert "train_annotations: not named" in text
    assert "val_annotations: not named" in text
    assert "--params train_annotations=<path>,val_annotations=<path>" in text


def test_absent_files_are_named(reading, mlflow_store):
    with pytest.raises(GivenInputError, match=r"val_annotations: nothing at .*none\.json"):
        reading.run("data", env="mine", params={"val_annotations": "none.json"})


def test_named_files_are_read_where_they_lie(reading, mlflow_store, tmp_path):
    for name in ("a", "b"):
        images = [{"id": one, "file_name": f"{one}.jpg", "width": 8, "height": 8} for one in (1, 2)]
        content = {"images": images, "annotations": [], "categories": [{"id": 1, "name": "cat"}]}
        (tmp_path / f"{name}.json").write_text(json.dumps(content))
    files = {"train_annotations": "a.json", "val_annotations": str(tmp_path / "b.json")}
    reading.run("data", env="mine", params=files)
    assert reading.runs(mlflow_store)["data"].data.metrics == {"images": 4}
