"""Which cells a study runs, at which rates, and under which keys they are kept."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from crqat_pipeline.quantization import QuantSpec
from crqat_pipeline.recipes.specs import NamedBuilderSpec
from crqat_pipeline.study.cell import Cell, student_keys
from crqat_pipeline.study.problem import key_of
from crqat_pipeline.study.run import Placement, best_rates, final_cells, tuning_cells
from crqat_pipeline.study.teachers import teacher_path
from tests.support.tiny_study import STUDY, study_problem, study_spec

HALF = {"half": {"label": "x", "plan": "two_stage_half", "rate_of": "crqat"}}
CELL = Cell("crqat", "final", 0, 1e-4)


def row(method, rate, value, seed=2, **more):
    return {"method": method, "learning_rate": rate, "seed": seed, "AP": value} | more


def keys(study=None, cell=CELL, quantization=None, base="teacher and data"):
    detector = NamedBuilderSpec(name="yolo_world_open_shapes")
    problem = SimpleNamespace(quantization=quantization or QuantSpec.parse("4-4-8"), detector=detector)
    return student_keys(cell, study or study_spec(), problem, base)


def test_every_trained_method_is_tuned_on_the_grid_and_the_others_are_not():
    study = study_spec(
        methods=STUDY["methods"] | {"half": {"label": "x", "plan": "two_stage_half", "rate_of": "crqat"}}
    )
    cells = tuning_cells(study, study.chosen)
    assert cells == [Cell(name, "tuning", 2, rate) for name in ("qat", "crqat") for rate in (1e-4, 1e-3)]
    assert tuning_cells(study, ["half"]) == [cell for cell in cells if cell.method == "crqat"]
    assert tuning_cells(study, ["ptq_omse"]) == []


def test_final_cells_take_the_rate_of_the_method_they_name():
    study = study_spec(
        methods=STUDY["methods"] | {"half": {"label": "x", "plan": "two_stage_half", "rate_of": "crqat"}}
    )
    cells = final_cells(study, study.chosen, {"qat": 1e-4, "crqat": 1e-3})
    rates = {cell.method: cell.learning_rate for cell in cells}
    assert rates == {"qat": 1e-4, "crqat": 1e-3, "half": 1e-3, "ptq_omse": 0.0}
    assert [cell.seed for cell in cells if cell.method == "half"] == [0, 1]
    assert {cell.phase for cell in cells} == {"final"}


def test_best_rate_is_the_highest_mean_over_the_tuning_seeds():
    rows = [row("qat", 1e-4, 0.5), row("qat", 1e-4, 0.1, 3), row("qat", 1e-3, 0.4), row("qat", 1e-3, 0.3, 3)]
    rows += [row("crqat", 1e-4, 0.9), row("crqat", 1e-3, 0.2)]
    assert best_rates(study_spec(), rows) == {"qat": 1e-3, "crqat": 1e-4}


def test_a_method_may_be_tuned_beyond_the_grid():
    study = study_spec(methods=STUDY["methods"] | {"qat": {"label": "QAT", "reference": None, "further_rates": [1e-5]}})
    tried = {cell.learning_rate for cell in tuning_cells(study, ["qat"])}
    assert tried == {1e-5, 1e-4, 1e-3}
    assert {cell.learning_rate for cell in tuning_cells(study, ["crqat"])} == {1e-4, 1e-3}
    assert best_rates(study, [row("qat", 1e-5, 0.5), row("qat", 1e-4, 0.4)]) == {"qat": 1e-5}


def test_ready_weights_give_the_teacher_its_key_wherever_they_lie(tmp_path):
    problem = study_problem(tmp_path, renders=False)
    keys = []
    for folder, content in (("here", b"1"), ("there", b"1"), ("other", b"2")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "net.param").write_bytes(b"layers")
        (tmp_path / folder / "net.bin").write_bytes(content)
        ready = problem.teacher.model_copy(update={"weights": str(tmp_path / folder / "net.param")})
        keys.append(teacher_path(tmp_path, replace(problem, teacher=ready), "images", 0))
    assert keys[0] == keys[1] != keys[2]


def test_of_equal_rates_the_lower_is_taken():
    assert best_rates(study_spec(), [row("qat", 1e-3, 0.5), row("qat", 1e-4, 0.5)]) == {"qat": 1e-4}


@pytest.mark.parametrize("failed", [{"AP": float("nan")}, {"failed": "diverged"}])
def test_a_rate_at_which_one_seed_diverged_is_out(failed):
    lost = row("qat", 1e-3, 0.9, 3) | failed
    if "failed" in failed:
        del lost["AP"]
    rows = [row("qat", 1e-4, 0.1), row("qat", 1e-4, 0.1, 3), row("qat", 1e-3, 0.9), lost]
    assert best_rates(study_spec(), rows) == {"qat": 1e-4}


def test_a_method_that_diverged_everywhere_is_refused_with_the_rates_tried():
    with pytest.raises(ValueError, match=r"qat has no learning rate at which .* 'AP'; tried \[0\.0001, 0\.001\]"):
        best_rates(study_spec(), [row("qat", 1e-4, float("nan")), row("qat", 1e-3, float("nan"))])


def test_one_key_per_stage_and_a_shared_beginning():
    """CR-QAT with and without TRKD has the same stage 1; its key is the same, that of stage 2 is not."""
    methods = {"without": STUDY["methods"]["crqat"] | {"distillation": {"pkd": {"weight": 6.0}}}}
    study = study_spec(methods=STUDY["methods"] | methods)
    whole, without = keys(study), keys(study, replace(CELL, method="without"))
    assert len(whole) == len(set(whole)) == 2
    assert whole[0] == without[0]
    assert whole[1] != without[1]
    assert len(keys(study, replace(CELL, method="ptq_omse"))) == 1


def test_options_at_their_default_leave_keys_as_they_are():
    """Written out or not: finished work stays valid when an option is added."""
    spelt = STUDY["methods"]["crqat"] | {
        "is_quantized": True,
        "ema_decay": None,
        "prompt_split": None,
        "distillation": {
            "task_weight": 1.0,
            "pkd": {"weight": 6.0},
            "trkd": {"weight": 6.0, "delta": 1.0, "relations": "both", "across_queries": False},
            "qfd": None,
            "vocabulary": None,
        },
    }
    study = study_spec(
        methods=STUDY["methods"] | {"crqat": spelt},
        loader=STUDY["loader"] | {"use_affine": False},
        optimization=STUDY["optimization"] | {"accumulation_steps": 1},
    )
    assert keys(study) == keys()


@pytest.mark.parametrize(
    "changes",
    [
        {"seeds": [0, 1, 5]},
        {"tuning_seeds": [3]},
        {"learning_rates": [1e-4]},
        {"processes": 2, "threads_per_process": 2},
        {"only": ["crqat"]},
        {"methods": STUDY["methods"] | {"crqat": STUDY["methods"]["crqat"] | {"label": "Ours", "rate_of": "qat"}}},
        {
            "methods": {"qat": STUDY["methods"]["qat"] | {"bits": (3, 3, 8)}}
            | {name: STUDY["methods"][name] for name in ("ptq_omse", "crqat")}
        },
    ],
)
def test_what_a_student_does_not_depend_on_leaves_its_keys_as_they_are(changes):
    assert keys(study_spec(**changes)) == keys()


def changed_method(**changes):
    return {"methods": STUDY["methods"] | {"crqat": STUDY["methods"]["crqat"] | changes}}


@pytest.mark.parametrize(
    "changes",
    [
        changed_method(plan="two_stage_half"),
        changed_method(plan="three_stage"),
        changed_method(is_quantized=False),
        changed_method(bits=(4, 5, 8)),
        changed_method(ema_decay=0.9),
        changed_method(prompt_split="base"),
        changed_method(distillation={"pkd": {"weight": 3.0}, "trkd": {"weight": 6.0}}),
        changed_method(distillation={"pkd": {"weight": 6.0}, "trkd": {"weight": 6.0, "delta": 0.05}}),
        changed_method(distillation={"pkd": {"weight": 6.0}, "trkd": {"weight": 6.0}, "task_weight": 0.5}),
        {"loader": STUDY["loader"] | {"num_prompts": 7}},
        {"optimization": STUDY["optimization"] | {"num_steps": 4}},
        {"optimization": STUDY["optimization"] | {"quantizer_rate_factor": 0.2}},
    ],
)
def test_what_a_student_depends_on_changes_its_last_key(changes):
    assert keys(study_spec(**changes))[-1] != keys()[-1]


@pytest.mark.parametrize("changes", [{"seed": 1}, {"learning_rate": 1e-3}])
def test_seed_and_rate_change_every_key(changes):
    assert not set(keys(cell=replace(CELL, **changes))) & set(keys())


def test_quantization_teacher_and_data_change_every_key():
    assert not set(keys(quantization=QuantSpec.parse("4-4-8", activation_initialization="minmax"))) & set(keys())
    assert not set(keys(base="another teacher")) & set(keys())


def test_rows_change_their_name_with_what_is_measured_and_on_what():
    folder = Path("/nowhere")
    study, problem = study_spec(), study_problem(folder, renders=False)
    place = Placement(folder, folder, study, problem).cell(CELL)
    assert place.row.name.startswith("crqat-final-lr0.0001-seed0-")

    def measured(**changes):
        evaluation = problem.evaluation.model_copy(update=changes)
        return Placement(folder, folder, study, replace(problem, evaluation=evaluation)).cell(CELL)

    assert measured(backend="reference", processes=2, gallery_images=1) == place
    assert measured(max_detections=10).row != place.row
    assert measured(max_detections=10).teacher == place.teacher
    fewer = problem.final.data.split.model_copy(update={"images": problem.final.data.split.images[:3]})
    smaller = replace(problem.final, data=replace(problem.final.data, split=fewer))
    moved = Placement(folder, folder, study, replace(problem, final=smaller)).cell(CELL)
    assert moved.row != place.row
    assert moved.base_key == place.base_key


def test_other_training_images_make_another_teacher_and_other_students():
    folder = Path("/nowhere")
    study, problem = study_spec(), study_problem(folder, renders=False)
    place = Placement(folder, folder, study, problem).cell(CELL)
    split = problem.train.split.model_copy(update={"images": problem.train.split.images[:-1]})
    moved = Placement(folder, folder, study, replace(problem, train=replace(problem.train, split=split))).cell(CELL)
    assert moved.teacher != place.teacher
    assert moved.base_key != place.base_key


def test_a_key_tells_its_facts_apart():
    assert key_of("a", 1) != key_of("a", 2) != key_of(1, "a")
    assert key_of("a", 1) == key_of("a", 1)
    assert len(key_of()) == 16
