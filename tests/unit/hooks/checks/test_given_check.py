"""The user's own inputs: named, present, all faults at once."""

import json

import pytest
from kedro.pipeline import Node, Pipeline

from crqat_pipeline.hooks.checks.given_check import GivenInputError
from crqat_pipeline.pipelines.fetch_data.nodes import make_or_accept
from crqat_pipeline.recipes.specs import FetchDataSpec
from tests.support.file_server import serve
from tests.support.published_photographs import contents, write_list

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


MADE = "coco_photos/annotations/instances_val.json"


def accept(spec: FetchDataSpec) -> str:
    return make_or_accept(spec)[0]


def count_one(val: dict) -> dict:
    return {"images": len(val["images"])}


@pytest.fixture
def fetching(dummy, tmp_path):
    """A pipeline whose given input is made of published files, and their server."""
    with serve(contents()) as served:
        files = write_list(tmp_path / "list.json", served.url, served.contents)
        published = {"files": str(files), "folder": str(tmp_path / "photos"), "given": "${runtime_params:photos,null}"}
        dummy.write("base", "parameters_fetch_data", {"fetch_data": {"source": "files", "published": published}})
        root = f"${{runtime_params:photos,{tmp_path / 'photos'}}}"
        metadata = {"named_by": ["photos"]}
        dummy.write(
            "mine", "catalog", {"val_annotations": ENTRY | {"filepath": f"{root}/{MADE}", "metadata": metadata}}
        )
        nodes = [
            Node(accept, "params:fetch_data", "val_annotations", name="accept", namespace="data"),
            Node(count_one, "val_annotations", "data_metrics", name="count", namespace="data"),
        ]
        dummy.register(data=Pipeline(nodes))
        yield dummy, served


def test_what_the_run_fetches_is_not_missing(fetching, mlflow_store, tmp_path):
    project, served = fetching
    project.run("data", env="mine")
    assert project.runs(mlflow_store)["data"].data.metrics == {"images": 1}
    asked = len(served.asked)
    project.run("data", env="mine")
    assert len(served.asked) == asked, "nothing is fetched twice"


def test_files_that_cannot_be_had_are_told_before_anything_runs(fetching, mlflow_store, tmp_path):
    project, served = fetching
    del served.contents["annotations.zip"]
    with pytest.raises(GivenInputError, match=r"nothing was run\.\n  annotations \(2 files\): http"):
        project.run("data", env="mine")
    assert not (tmp_path / "photos").exists()


def test_of_a_folder_that_is_named_nothing_is_fetched(fetching, mlflow_store, tmp_path):
    project, served = fetching
    with pytest.raises(GivenInputError, match=r"(?s)nothing at .*other.*--params photos=<path>"):
        project.run("data", env="mine", params={"photos": str(tmp_path / "other")})
    assert not served.asked
    assert not (tmp_path / "other").exists()
