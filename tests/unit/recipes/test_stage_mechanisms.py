"""What a stage of QAT may do beside its losses: activations before weights, transitions counted, BatchNorm measured."""

import pytest
import torch

from crqat_pipeline.curriculum.plan import PLANS
from crqat_pipeline.detectors import build_detector
from crqat_pipeline.distillation.objective import DistillationSpec
from crqat_pipeline.model_files import rebuild
from crqat_pipeline.model_files.rebuilding import to_checkpoint
from crqat_pipeline.quantization.calibration import initialize_weights
from crqat_pipeline.quantization.parts import quantizers
from crqat_pipeline.quantization.transition_spec import TransitionSpec
from crqat_pipeline.recipes.planned_stages import planned_stages
from crqat_pipeline.recipes.qat import run_stage
from crqat_pipeline.recipes.specs import QatSpec, RunSpec
from crqat_pipeline.training.fusion_balance import FusionBalanceSpec
from tests.support.tiny_study import STUDY

TRAIN = QatSpec(loader=STUDY["loader"], optimization={"num_steps": 3, "learning_rate": 1e-3})
RUN = RunSpec(seed=0, device="cpu")


@pytest.fixture(scope="module")
def teacher(problem):
    torch.manual_seed(0)
    detector = build_detector(problem.detector.name)
    return to_checkpoint(detector.state_dict(), problem.detector, None, ())


def trained(problem, teacher, plan="single_stage", **changes):
    student, students = teacher, []
    train = TRAIN.model_copy(update=changes)
    for spec in planned_stages(PLANS[plan], train, DistillationSpec(), ("backbone", "neck", "head")):
        arguments = (problem.qat, problem.calibration, problem.quantization, spec, RUN)
        result = run_stage(student, teacher, *arguments)
        student = result.student
        students.append(result)
    return students


def on(student, end):
    return {quantizer.is_on for name, quantizer in quantizers(rebuild(student).detector) if name.endswith(end)}


def test_activations_are_quantized_before_weights_which_start_from_what_they_became(problem, teacher):
    first, second = (result.student for result in trained(problem, teacher, "activations_first"))
    assert first.metadata["weights_wait"] is True
    assert (on(first, "input_quantizer"), on(first, "weight_quantizer")) == ({True}, {False})
    assert "weights_wait" not in second.metadata
    assert (on(second, "input_quantizer"), on(second, "weight_quantizer")) == ({True}, {True})
    steps = {name for name in first.tensors if name.endswith("input_quantizer.step_G")}
    learned = {name for name in steps if not torch.equal(first.tensors[name], second.tensors[name])}
    assert learned
    assert all((first.tensors[name] - second.tensors[name]).abs().max() < 0.01 for name in steps)  # not calibrated anew
    weights = {name for name in first.tensors if name.endswith("weight_quantizer.step_G")}
    before = rebuild(first).detector
    initialize_weights(before, before.parts)
    assert all((before.state_dict()[name] - second.tensors[name]).abs().max() < 0.01 for name in weights)


def test_counting_and_options_that_are_off_leave_a_training_to_the_bit(problem, teacher):
    (plain,) = trained(problem, teacher)
    (counted,) = trained(problem, teacher, transitions=TransitionSpec())
    assert all(torch.equal(value, counted.student.tensors[name]) for name, value in plain.student.tensors.items())
    assert "codes_changed" not in plain.history[-1]
    assert 0 <= counted.history[-1]["codes_changed"] < 0.5
    (balanced,) = trained(problem, teacher, fusion_balance=FusionBalanceSpec())
    assert any(not torch.equal(value, balanced.student.tensors[name]) for name, value in plain.student.tensors.items())


def test_kept_statistics_may_be_measured_after_training_and_weights_stay(problem, teacher):
    (plain,) = trained(problem, teacher)
    (measured,) = trained(problem, teacher, batch_norm="frozen_re_estimated")
    changed = {
        name for name, value in plain.student.tensors.items() if not torch.equal(value, measured.student.tensors[name])
    }
    assert changed
    assert all(name.endswith(("running_mean", "running_var", "num_batches_tracked")) for name in changed)
