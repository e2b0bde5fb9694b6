"""Every environment loads, and writes where it should."""

import pytest
from kedro.framework.project import pipelines

from crqat_pipeline.catalog_io.given import GivenOrMade
from tests.support.dvc_agreement import load_catalog, stage_pipelines

ROOTS = {"base": "data", "local": "data", "smoke": "data/smoke", "coco_mini": "data/coco_mini"}
OWN_FILES = {
    "train_images": "/photos",
    "train_annotations": "/photos.json",
    "val_images": "/val",
    "data_prep": {
        "text_encoders": {name: {"embeddings": "/e.npy", "names": "/n.json"} for name in ("coco_clip", "lvis_clip")}
    },
}
"""As --params gives them; three of five inputs."""
STAGES = {
    "fetch_data",
    "data_prep",
    "teacher",
    "baselines",
    "stage1_backbone",
    "stage2_neck_head",
    "int4_export",
    "evaluation",
}


def test_every_environment_is_tested(project):
    folders = {folder.name for folder in (project / "conf").iterdir() if folder.is_dir()}
    assert folders == set(ROOTS)


@pytest.mark.parametrize("env", sorted(ROOTS))
def test_parameters_fit_the_specs_and_files_lie_under_the_data_root(project, env):
    catalog = load_catalog(project, env, OWN_FILES if env == "coco_mini" else {})
    for name in sorted(pipelines["crqat_full"].datasets()):
        dataset = catalog.get(name)
        path = getattr(dataset, "_filepath", None)
        is_given = isinstance(dataset, GivenOrMade) and dataset.given
        if path is not None and not is_given:
            assert str(path).startswith(f"{project / ROOTS[env]}/0"), name


def test_the_pipelines_are_the_stages_and_their_sum(project):
    load_catalog(project)
    assert set(stage_pipelines()) == STAGES
    assert set(pipelines) == STAGES | {"ptq", "crqat_full", "__default__"}
    assert pipelines["__default__"].nodes == pipelines["crqat_full"].nodes
    assert sum(len(each.nodes) for each in stage_pipelines().values()) == len(pipelines["crqat_full"].nodes)


def test_nodes_belong_to_the_stage_of_their_pipeline(project):
    load_catalog(project)
    for name, pipeline in stage_pipelines().items():
        assert {node.namespace.split(".")[0] for node in pipeline.nodes} == {name}


def test_coco_mini_names_the_users_files_by_params(project):
    catalog = load_catalog(project, "coco_mini", OWN_FILES)
    assert str(catalog.get("qat_images").path) == "/photos"
    assert str(catalog.get("qat_annotations").path) == "/photos.json"
    assert not catalog.get("val_annotations").is_named
