"""The stages of every environment are those of its plan; what they are compared with trains on equal terms."""

from dataclasses import replace

import pytest
from kedro.framework.project import configure_project, pipelines
from kedro.validation import ParameterValidationError

from crqat_pipeline.curriculum.plan import PLANS, stage_names, windows
from crqat_pipeline.detectors.family import PARTS
from crqat_pipeline.detectors.table import FAMILIES, family_of
from crqat_pipeline.hooks.configured_run import dry_run_subject
from tests.support.dvc_agreement import load_catalog

COMPARED = ("baselines.qat", "baselines.finetuned", "vocabulary_kd")


@pytest.fixture(autouse=True)
def _own_registry():
    configure_project("crqat_pipeline")
    yield
    configure_project("crqat_pipeline")


def stages_of(catalog, plan):
    return [catalog.load(f"params:{name}.train") for name in stage_names(plan)]


@pytest.mark.parametrize("plan", PLANS)
def test_one_parameter_makes_the_stages_of_another_plan(project, plan):
    catalog = load_catalog(project, params={"curriculum": {"plan": plan}})
    stages, planned = stages_of(catalog, plan), windows(PLANS[plan], PARTS)
    assert [stage.parts for stage in stages] == [window.parts for window in planned]
    assert [stage.data_window for stage in stages] == [(window.data_start, window.data_stop) for window in planned]
    assert [stage.trains for stage in stages] == [window.stage.trains for window in planned]
    assert sum(stage.optimization.num_steps for stage in stages) == 300
    for stage, window in zip(stages, planned, strict=True):
        assert stage.optimization.num_steps == pytest.approx(300 * window.stage.share, abs=1)
        on = {name for name in ("pkd", "trkd") if getattr(stage.distillation, name) is not None}
        assert on == {"pkd", "trkd"}.intersection(window.stage.terms)


@pytest.mark.parametrize("plan", PLANS)
def test_the_pipelines_are_those_of_the_plan(project, plan):
    load_catalog(project, params={"curriculum": {"plan": plan}})
    names = stage_names(plan)
    trained = [f"{name}.train" for name in names]
    assert [node.name for node in pipelines["curriculum"].nodes if node.name.endswith(".train")] == trained
    assert {node.name for node in pipelines["curriculum"].nodes} <= {
        node.name for node in pipelines["crqat_full"].nodes
    }
    assert f"{names[-1]}_student" in pipelines["int4_export"].inputs()
    assert {f"{name}_history" for name in names} <= pipelines["evaluation"].inputs()
    assert f"{names[-1]}_student" in pipelines["evaluation"].inputs()
    assert pipelines["crqat_full"].inputs() & {f"{name}_student" for name in names} == set()
    registered = {name for name in pipelines if name.startswith("stage")}
    assert registered == {"stage1_backbone", "stage2_neck_head"}.intersection(names)


def test_what_is_compared_with_the_curriculum_takes_its_terms(project):
    catalog = load_catalog(project, params={"curriculum": {"train": {"optimization": {"num_steps": 42}}}})
    last = stages_of(catalog, "two_stage")[-1]
    for name in COMPARED:
        one = catalog.load(f"params:{name}.train")
        assert (one.optimization.num_steps, one.optimization.learning_rate) == (42, last.optimization.learning_rate)
        assert (one.loader, one.parts, one.data_window) == (last.loader, last.parts, (0, 1))
    assert not catalog.load("params:baselines.qat.train").distillation.distils
    assert not catalog.load("params:baselines.finetuned.train").is_quantized


def test_what_a_stage_says_itself_wins(project):
    own = {"optimization": {"num_steps": 7, "learning_rate": 1e-5}, "distillation": {"trkd": {"delta": 0.05}}}
    catalog = load_catalog(project, params={"stage2_neck_head": {"train": own}})
    first, second = stages_of(catalog, "two_stage")
    assert (first.optimization.num_steps, second.optimization.num_steps) == (100, 7)
    assert (first.optimization.learning_rate, second.optimization.learning_rate) == (1e-4, 1e-5)
    assert (second.distillation.trkd.weight, second.distillation.trkd.delta) == (6.0, 0.05)
    assert second.parts == ("backbone", "neck", "head")


@pytest.mark.parametrize(
    ("params", "message"),
    [
        (
            {"curriculum": {"plan": "two_stages"}},
            r"1 fault.*curriculum\.plan = .*Unknown.*Did you mean 'two_stage'",
        ),
        (
            {"curriculum": {"train": {"loader": {"batch": 8}}}},
            r"1 fault.*curriculum\.train\.loader\.batch: there is no",
        ),
        (
            {"curriculum": {"train": {"optimization": {"num_steps": 1}}}},
            r"1 fault.*'stage1_backbone' gets none of the 1",
        ),
        (
            {"curriculum": {"plan": "three_stage"}, "stage2_neck_head": {"train": {"batch_norm": "live"}}},
            r"stage2_neck_head\.train: the plan of the curriculum has no such stage; its stages are stage1_backbone, ",
        ),
        ({"stage1_backbone": {"train": {"part": ["neck"]}}}, r"1 fault.*stage1_backbone\.train\.part: there is no"),
    ],
)
def test_what_does_not_fit_the_plan_is_refused(project, params, message):
    with pytest.raises(ParameterValidationError, match=f"(?s){message}"):
        load_catalog(project, params=params)


def test_a_stage_of_another_plan_is_refused_by_its_name(project):
    other = {"curriculum": {"plan": "three_stage"}}
    with pytest.raises(ValueError, match=r"stage2_neck_head is no stage of .*three_stage; .* --pipelines=curriculum"):
        dry_run_subject(project, str(project / "conf"), "base", ["stage2_neck_head"], other)


def test_stages_have_the_parts_of_the_detectors_family(project, monkeypatch):
    family = family_of("yolo_world_open_shapes")
    other = {**FAMILIES, family.name: replace(family, parts=("encoder", "decoder"))}
    monkeypatch.setattr("crqat_pipeline.detectors.table.FAMILIES", other)
    catalog = load_catalog(project)
    assert [stage.parts for stage in stages_of(catalog, "two_stage")] == [("encoder",), ("encoder", "decoder")]
    assert catalog.load("params:baselines.qat.train").parts == ("encoder", "decoder")
