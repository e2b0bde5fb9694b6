"""What cannot work is found from the parameters alone."""

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from crqat_pipeline.curriculum.plan import CurriculumPlan, PlannedStage
from crqat_pipeline.recipes.memory_fit import batch_misfits
from crqat_pipeline.recipes.parameter_fit import misfits
from crqat_pipeline.training.spec import OptimizationSpec

USED = {"run", "detector", "data_prep", "quantization"}


def parameters(**changed):
    encoder = {"name": "composed", "words": ["red"], "embedding_dim": 64, "seed": 0}
    return {
        "run": {"seed": 0, "device": "cpu"},
        "detector": {"name": "yolo_world_open_shapes", "options": {}},
        "quantization": {"weight_bits": 4, "activation_bits": 4, "attention_bits": 8},
        "data_prep": {"text_encoder": "e", "text_encoders": {"e": encoder}},
    } | changed


def test_good_parameters_fit():
    assert list(misfits(parameters(), USED)) == []


@pytest.mark.parametrize(
    ("changed", "path"),
    [
        ({"run": {"seed": 0, "device": "foo"}}, "run.device"),
        ({"detector": {"name": "zzz"}}, "detector"),
        ({"detector": {"name": "yolo_world_open_shapes", "options": {"version": 9}}}, "detector"),
        ({"detector": {"name": "yolo_world_s"}}, "data_prep.text_encoders.e"),
        ({"quantization": parameters()["quantization"] | {"keep_full_precision": ["no.such"]}}, "quantization"),
    ],
)
def test_a_misfit_is_named_by_its_path(changed, path):
    (fault,) = misfits(parameters(**changed), USED)
    assert fault.startswith(f"{path}: ")


def test_a_side_that_the_detector_does_not_take_is_named_with_the_nearest_that_it_does():
    (fault,) = misfits(parameters(teacher={"loader": {"image_size_px": 100}}), USED | {"teacher"})
    assert fault == (
        "teacher.loader.image_size_px: sides of images are multiples of 32 px for yolo_world_open_shapes; got 100. "
        "Use 96."
    )


def test_a_side_of_the_curriculum_is_told_once_and_one_of_a_stage_by_its_own_path():
    curriculum, own = {"train": {"loader": {"image_size_px": 100}}}, {"train": {"loader": {"image_size_px": 90}}}
    made = parameters(curriculum=curriculum, stage1_backbone=curriculum, baselines={"qat": own})
    used = USED | {"curriculum", "stage1_backbone.train", "baselines.qat.train"}
    assert [fault.partition(":")[0] for fault in misfits(made, used)] == [
        "baselines.qat.train.loader.image_size_px",
        "curriculum.train.loader.image_size_px",
    ]


def test_a_batch_beyond_the_memory_is_refused_and_one_that_fits_is_not():
    loader = {"image_size_px": 640, "batch_size": 100_000}
    (fault,) = batch_misfits(parameters(teacher={"loader": loader}), USED | {"teacher"})
    assert fault.startswith("teacher.loader.batch_size: 100000 images of 640 px keep at least ")
    small = parameters(teacher={"loader": loader | {"batch_size": 16}})
    assert list(batch_misfits(small, USED | {"teacher"})) == []


@pytest.mark.parametrize("name", ["rows.npy", "rows.safetensors"])
def test_the_width_of_embeddings_in_a_file_is_held_against_the_detectors(tmp_path, name):
    (tmp_path / "names.json").write_text('["cat"]')
    rows = torch.ones(1, 512)
    np.save(tmp_path / "rows.npy", rows.numpy())
    save_file({"rows": rows}, tmp_path / "rows.safetensors")
    encoder = {"name": "precomputed", "embeddings": str(tmp_path / name), "names": str(tmp_path / "names.json")}
    (fault,) = misfits(parameters(data_prep={"text_encoder": "e", "text_encoders": {"e": encoder}}), USED)
    assert fault.startswith("data_prep.text_encoders.e: its embeddings have 512 numbers")
    (tmp_path / name).write_bytes(b"cut off")
    assert list(misfits(parameters(data_prep={"text_encoder": "e", "text_encoders": {"e": encoder}}), USED)) == []


def test_a_plan_of_more_stages_than_the_detector_has_parts_is_refused(monkeypatch):
    stages = tuple(PlannedStage(name=f"stage{number}", adds=1, share=1 / 4) for number in range(1, 5))
    monkeypatch.setattr("crqat_pipeline.recipes.parameter_fit.PLANS", {"four": CurriculumPlan(stages=stages)})
    (fault,) = misfits(parameters(curriculum={"plan": "four"}), USED | {"curriculum"})
    assert fault.startswith(
        "curriculum.plan: The stage 'stage4' adds 1 of the parts that are left of backbone, neck, head"
    )


def test_sections_that_the_run_does_not_ask_for_are_left_alone():
    assert list(misfits(parameters(detector={"name": "zzz"}), {"quantization"})) == []


@pytest.mark.parametrize("wrong", [{"learning_rate": float("inf")}, {"warmup_steps": 11}])
def test_an_infinite_rate_and_a_warm_up_longer_than_the_training_are_refused(wrong):
    with pytest.raises(ValueError, match=r"finite number|warm-up"):
        OptimizationSpec.model_validate({"num_steps": 10, "learning_rate": 0.1} | wrong)


def test_a_graph_that_needs_one_size_is_refused_without_it_before_training():
    pytest.importorskip("transformers", reason="the extra omdet is not installed")
    given = parameters(detector={"name": "omdet_turbo_open_shapes"}, int4_export={"onnx": {"form": "auto"}})
    (fault,) = misfits(given, USED | {"int4_export"})
    assert fault.startswith("int4_export.onnx: A graph of OmDetTurbo is made for one value of image_size_px; got no")
    assert list(misfits(given | {"int4_export": {"onnx": None}}, USED | {"int4_export"})) == []
