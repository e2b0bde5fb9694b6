"""Which images a cell trains on, is calibrated on, and is tuned on."""

from dataclasses import replace

import pytest

from crqat_pipeline.study.cell_data import calibrated_on, trained_on, without_images
from crqat_pipeline.study.costs import method_costs
from crqat_pipeline.study.stages import bits_of
from crqat_pipeline.study.tuning_data import held_out_annotations
from tests.support.tiny_study import study_problem, study_spec


def ids(data):
    return [image.id for image in data.split.images]


@pytest.fixture(scope="module")
def problem(tmp_path_factory):
    whole = study_problem(tmp_path_factory.mktemp("study"), renders=False)
    held_out = replace(whole.qat, split=whole.qat.split.part(0.0, 0.25))
    tuning = replace(whole.tuning, data=held_out)
    return replace(whole, tuning=tuning, tuning_qat=without_images(whole.qat, held_out))


def test_tuning_cells_see_none_of_the_images_that_choose_the_rate(problem):
    held_out = set(ids(problem.tuning.data))
    assert held_out
    assert set(ids(trained_on("tuning", problem))) == set(ids(problem.qat)) - held_out
    assert not held_out & set(ids(calibrated_on("tuning", 0, study_spec(), problem)))
    drawn = study_spec(calibration_draw=3)
    assert not held_out & {one for seed in range(9) for one in ids(calibrated_on("tuning", seed, drawn, problem))}


def test_reported_cells_train_on_all(problem):
    assert trained_on("final", problem) is problem.qat
    assert calibrated_on("final", 0, study_spec(), problem) is problem.calibration


def test_a_calibration_draw_is_the_seeds_own(problem):
    study = study_spec(calibration_draw=3)
    drawn = [ids(calibrated_on("final", seed, study, problem)) for seed in range(4)]
    assert [len(set(one)) for one in drawn] == [3] * 4
    assert len({tuple(one) for one in drawn}) > 1
    assert drawn[0] == ids(calibrated_on("final", 0, study, problem))


def test_a_draw_of_more_images_than_there_are_is_refused(problem):
    with pytest.raises(ValueError, match="asks for 999 of"):
        calibrated_on("final", 0, study_spec(calibration_draw=999), problem)


def test_held_out_annotations_are_whole_images_and_leave_some():
    images = [{"id": number} for number in range(8)]
    boxes = [{"image_id": number % 8, "category_id": 1 + number % 2} for number in range(16)]
    annotations = {"images": images, "annotations": boxes, "categories": [{"id": 1}, {"id": 2}]}
    held_out = held_out_annotations(annotations, 2)
    chosen = {image["id"] for image in held_out["images"]}
    assert len(chosen) == 2
    assert held_out["annotations"] == [box for box in boxes if box["image_id"] in chosen]
    with pytest.raises(ValueError, match="tuning_images is 8 of 8"):
        held_out_annotations(annotations, 8)


def test_a_method_may_have_widths_of_its_own(tmp_path, problem):
    (tmp_path / "widths.yml").write_text("quantization: {widths: {backbone: 8, edges: 8}}")
    methods = {"qat": {"label": "QAT", "reference": None}, "wide": {"label": "Wide", "widths": tmp_path / "widths.yml"}}
    tables = [{"title": "All", "methods": ["qat", "wide"]}]
    study = study_spec(methods=methods, tables=tables, pareto={"methods": ["wide"], "prompts": [2, 6]})
    assert [rule.layers for rule in bits_of(study.methods["wide"], problem.quantization).widths] == [
        "backbone",
        "edges",
    ]
    costs = method_costs(study, ["qat", "wide"], problem.detector, problem.quantization, 64)
    assert costs["wide"].bops_g[2] < costs["wide"].bops_g[6]
    assert costs["wide"].bops_g[2] < costs["qat"].bops_g[2]  # where edges are in full precision
