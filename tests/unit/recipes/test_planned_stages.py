"""A training as a whole, cut into the stages of a plan."""

import pytest
from pydantic import ValidationError

from crqat_pipeline.recipes.planned_stages import CurriculumSpec, curriculum_stages, single_stage

PARTS = ("backbone", "neck", "head")
LOADER = {"image_size_px": 64, "batch_size": 4, "num_prompts": 8}


def curriculum(plan, **optimization):
    train = {"loader": LOADER, "batch_norm": "live", "optimization": {"learning_rate": 1e-4} | optimization}
    return CurriculumSpec(plan=plan, train=train, distillation={"pkd": {"weight": 6.0}, "trkd": {"weight": 6.0}})


@pytest.mark.parametrize(
    ("plan", "names", "epochs"),
    [
        ("two_stage", ["stage1_backbone", "stage2_neck_head"], [2.0, 2.0]),
        ("corrected", ["curriculum_qat", "curriculum_correction"], [1.75, 0.25]),  # both see all images
    ],
)
def test_epochs_are_passes_over_the_images_of_the_stage(plan, names, epochs):
    stages = curriculum_stages(curriculum(plan, num_epochs=2.0), PARTS)
    assert [stage.name for stage in stages] == names
    assert [stage.optimization.num_epochs for stage in stages] == epochs
    assert {stage.optimization.num_steps for stage in stages} == {0}


def test_what_is_said_of_all_stages_holds_in_each():
    for stage in curriculum_stages(curriculum("three_stage", num_steps=9), PARTS):
        assert (stage.batch_norm, stage.loader.num_prompts, stage.optimization.num_steps) == ("live", 8, 3)


def test_what_is_compared_with_it_has_its_steps_and_no_teacher():
    stage = single_stage(curriculum("two_stage", num_steps=9), "qat", PARTS)
    assert (stage.name, stage.optimization.num_steps, stage.data_window) == ("qat", 9, (0, 1))
    assert not stage.distillation.distils


def test_a_stage_without_a_step_is_refused():
    with pytest.raises(ValidationError, match=r"'stage1_backbone' gets none of the 1\. Raise num_steps"):
        curriculum("two_stage", num_steps=1)
