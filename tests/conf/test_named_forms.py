"""A form appears by naming it: the evaluation reads it, and the whole run makes it."""

import pytest
from kedro.framework.project import configure_project, pipelines

from tests.support.dvc_agreement import load_catalog

VOCABULARY_KD = {
    "label": "Vocabulary distillation",
    "checkpoint": "vocabulary_kd_student",
    "history": "vocabulary_kd_history",
    "layers": "vocabulary_kd_layers",
    "roles": ["gallery"],
}


@pytest.fixture(autouse=True)
def _own_registry():
    configure_project("crqat_pipeline")
    yield
    configure_project("crqat_pipeline")


def node(name):
    (found,) = (one for one in pipelines["evaluation"].nodes if one.name == f"evaluation.{name}")
    return found


def test_a_named_form_is_read_by_every_node_of_its_roles_and_made_by_the_whole_run(project):
    load_catalog(project, params={"evaluation": {"forms": {"vocabulary_kd": VOCABULARY_KD}}})
    for reader in ("detect", "map_similarity"):
        assert "vocabulary_kd_student" in node(reader).inputs, reader
    assert "vocabulary_kd_student" not in node("time").inputs
    assert {"vocabulary_kd_history", "vocabulary_kd_layers", "vocabulary_kd_groups"} <= set(node("draw").inputs)
    assert {one for one in node("score_groups").inputs if one.endswith("_student")} == {"ptq_student"}
    assert {"stage2_neck_head_layers", "stage2_neck_head_groups"} <= set(node("draw").inputs)
    assert "vocabulary_kd_student" in pipelines["crqat_full"].all_outputs()


def test_without_it_nothing_of_it_is_read_or_made(project):
    load_catalog(project)
    names = pipelines["crqat_full"].datasets()
    assert not [name for name in names if name.startswith("vocabulary_kd")]
    exported = pipelines["evaluation"].inputs() & pipelines["int4_export"].all_outputs()
    assert exported == {"int4_model", "onnx_model", "model_card"}


def test_a_path_is_an_entry_of_its_own(project):
    mine = {"label": "Mine", "checkpoint": "/students/mine.safetensors"}
    catalog = load_catalog(project, params={"evaluation": {"forms": {"mine": mine, "ptq": None}}})
    assert "mine_form_file" in node("detect").inputs
    assert "ptq_student" not in node("detect").inputs
    assert str(catalog.get("mine_form_file").path) == "/students/mine.safetensors"
