"""Which terms are on, what they need, and what is refused."""

import pickle

import pytest
from pydantic import BaseModel, ValidationError

from crqat_pipeline.distillation.objective import DistillationSpec
from crqat_pipeline.distillation.pkd import PkdSpec
from crqat_pipeline.distillation.qfd import QfdSpec
from crqat_pipeline.distillation.table import LOSSES
from crqat_pipeline.distillation.trkd import TrkdSpec
from crqat_pipeline.distillation.vocabulary_kd import VocabularyKdSpec

EVERYTHING = DistillationSpec(
    pkd=PkdSpec(weight=6), trkd=TrkdSpec(weight=6), qfd=QfdSpec(), vocabulary=VocabularyKdSpec()
)


@pytest.mark.parametrize(
    ("spec", "backbone", "positives", "head", "student"),
    [
        (DistillationSpec(), False, False, False, False),
        (DistillationSpec(pkd=PkdSpec(weight=6)), True, False, False, True),
        (DistillationSpec(trkd=TrkdSpec(weight=6)), False, True, True, True),
        (DistillationSpec(trkd=TrkdSpec(weight=0)), False, False, False, False),
        (DistillationSpec(qfd=QfdSpec()), False, False, True, True),
        (DistillationSpec(qfd=QfdSpec(weight=0)), False, False, False, False),
        (DistillationSpec(vocabulary=VocabularyKdSpec()), False, False, True, False),
    ],
)
def test_a_term_asks_for_what_it_needs_and_no_more(spec, backbone, positives, head, student):
    needs = (spec.needs_teacher_backbone, spec.needs_positives, spec.needs_teacher_head, spec.needs_student_features)
    assert needs == (backbone, positives, head, student)


@pytest.mark.parametrize("kept", LOSSES)
def test_only_keeps_the_named_term_as_it_is(kept):
    alone = EVERYTHING.only([kept])
    assert getattr(alone, kept) == getattr(EVERYTHING, kept)
    assert all(getattr(alone, term) is None for term in LOSSES if term != kept)


def test_only_of_all_terms_changes_nothing_and_of_none_leaves_the_task_loss():
    assert EVERYTHING.only(LOSSES) == EVERYTHING
    assert EVERYTHING.only([]) == DistillationSpec()
    assert EVERYTHING.model_copy(update={"task_weight": 0.5}).only(["pkd"]).task_weight == 0.5


@pytest.mark.parametrize("options", [{}, {"trkd": {"weight": 0}}, {"pkd": {"weight": 0}}])
def test_nothing_to_minimize_is_refused(options):
    with pytest.raises(ValidationError, match="task_weight is 0 and no distillation term is on"):
        DistillationSpec.model_validate({"task_weight": 0} | options)


def test_leaving_out_the_only_term_of_a_label_free_method_is_refused():
    with pytest.raises(ValidationError, match="Something must be minimized"):
        DistillationSpec(task_weight=0, vocabulary=VocabularyKdSpec()).only(["pkd"])


@pytest.mark.parametrize(
    ("section", "path", "remedy"),
    [
        (
            {"trdk": {"weight": 6}},
            "trdk",
            "Did you mean 'trkd'? There are: task_weight, teacher_precision, pkd, trkd, ",
        ),
        ({"pkd_weight": 6.0}, "pkd_weight", "Write pkd: {weight: 6.0}"),
        ({"pkd": {"wieght": 6}}, "pkd.wieght", ""),
    ],
)
def test_what_is_no_loss_is_refused_by_its_path_with_what_to_write(section, path, remedy):
    with pytest.raises(ValidationError) as refusal:
        MethodOfTwoLevels.model_validate({"distillation": section})
    faults = {".".join(map(str, fault["loc"])): fault["msg"] for fault in refusal.value.errors()}
    assert remedy in faults[f"distillation.{path}"]


class MethodOfTwoLevels(BaseModel):
    """Stands for any spec that holds one."""

    distillation: DistillationSpec


def test_a_spec_survives_pickling_and_its_own_dump():
    assert pickle.loads(pickle.dumps(EVERYTHING)) == EVERYTHING
    assert DistillationSpec.model_validate(EVERYTHING.model_dump()) == EVERYTHING
