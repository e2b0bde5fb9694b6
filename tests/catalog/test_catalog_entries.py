"""The catalog: every entry is used, says what DVC and MLflow do with it, and round-trips through its configuration."""

import pytest
import yaml
from kedro.framework.project import pipelines

from crqat_pipeline.recipes.gathered import GATHERED
from crqat_pipeline.runtime.needs import GPU, LIGHT
from tests.support.dvc_agreement import IN_MEMORY, kind_of, load_catalog

MLFLOW_KINDS = (None, "metrics", "details", "artifact", "model")


@pytest.fixture(scope="module")
def catalog(project):
    return load_catalog(project)


@pytest.fixture(scope="module")
def used(catalog):
    names = {name for pipeline in pipelines.values() for name in pipeline.datasets()}
    return {name for name in names if not name.startswith("params:")}


def test_every_dataset_of_the_pipelines_is_an_entry(catalog, used):
    in_memory = {name for name in used if getattr(catalog.get(name), "_filepath", None) is None}
    assert in_memory == {*IN_MEMORY, *GATHERED}


def test_every_entry_is_used(project, used):
    entries = yaml.safe_load((project / "conf" / "base" / "catalog.yml").read_text(encoding="utf-8"))
    explicit = {name for name in entries if not name.startswith("_") and "{" not in name}
    assert explicit - used == set()


def test_every_entry_says_what_dvc_and_mlflow_do_with_it(catalog, used):
    for name in sorted(used - {"tracker"}):
        assert kind_of(catalog, name)
        assert (catalog.get(name).metadata or {}).get("mlflow") in MLFLOW_KINDS, name


def test_no_two_entries_share_a_file(catalog, used):
    paths = [str(catalog.get(name)._filepath) for name in used - {*IN_MEMORY, *GATHERED}]
    assert len(paths) == len(set(paths))


def test_nothing_is_versioned_by_kedro_where_dvc_is(project):
    assert "versioned" not in (project / "conf" / "base" / "catalog.yml").read_text(encoding="utf-8")


def test_every_file_below_data_has_its_layer_in_the_picture(catalog, used):
    layers = {
        name: (getattr(catalog.get(name), "metadata", None) or {}).get("kedro-viz", {}).get("layer") for name in used
    }
    below_data = {name for name in used if "/data/" in str(getattr(catalog.get(name), "_filepath", ""))}
    assert {layers[name][:2] for name in below_data} == {f"{number:02}" for number in (1, 2, 3, 5, 6, 7, 8)}


def test_every_node_says_what_it_needs(catalog):
    for pipeline in pipelines.values():
        for node in pipeline.nodes:
            assert len(node.tags & {GPU, LIGHT}) == 1, node.name
    trained = [node for node in pipelines["crqat_full"].nodes if node.short_name.startswith("train")]
    assert {GPU} == set.union(*(node.tags for node in trained))
