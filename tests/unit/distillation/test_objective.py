"""Which terms are on, what they need, and what is refused."""

import pytest
from pydantic import ValidationError

from crqat_pipeline.distillation.objective import DistillationSpec
from crqat_pipeline.distillation.qfd import QfdSpec
from crqat_pipeline.distillation.trkd import TrkdSpec
from crqat_pipeline.distillation.vocabulary_kd import VocabularyKdSpec

EVERYTHING = DistillationSpec(pkd_weight=6, trkd=TrkdSpec(weight=6), qfd=QfdSpec(), vocabulary=VocabularyKdSpec())


@pytest.mark.parametrize(
    ("spec", "backbone", "positives", "head", "student"),
    [
        (DistillationSpec(), False, False, False, False),
        (DistillationSpec(pkd_weight=6), True, False, False, True),
        (DistillationSpec(trkd=TrkdSpec(weight=6)), False, True, True, False),
        (DistillationSpec(trkd=TrkdSpec(weight=0)), False, False, False, False),
        (DistillationSpec(qfd=QfdSpec()), False, False, True, True),
        (DistillationSpec(vocabulary=VocabularyKdSpec()), False, False, True, False),
    ],
)
def test_a_term_asks_for_what_it_needs_and_no_more(spec, backbone, positives, head, student):
    needs = (spec.needs_teacher_backbone, spec.needs_positives, spec.needs_teacher_head, spec.needs_student_features)
    assert needs == (backbone, positives, head, student)


@pytest.mark.parametrize("kept", ["pkd", "trkd", "qfd", "vocabulary"])
def test_only_keeps_the_named_term_as_it_is(kept):
    fields = {"pkd": "pkd_weight", "trkd": "trkd", "qfd": "qfd", "vocabulary": "vocabulary"}
    alone = EVERYTHING.only([kept])
    assert getattr(alone, fields[kept]) == getattr(EVERYTHING, fields[kept])
    assert all(not getattr(alone, field) for term, field in fields.items() if term != kept)


def test_only_of_all_terms_changes_nothing_and_of_none_leaves_the_task_loss():
    assert EVERYTHING.only(["pkd", "trkd", "qfd", "vocabulary"]) == EVERYTHING
    assert EVERYTHING.only([]) == DistillationSpec()
    assert EVERYTHING.model_copy(update={"task_weight": 0.5}).only(["pkd"]).task_weight == 0.5


@pytest.mark.parametrize("options", [{}, {"trkd": {"weight": 0}}, {"pkd_weight": 0}])
def test_nothing_to_minimize_is_refused(options):
    with pytest.raises(ValidationError, match="task_weight is 0 and no distillation term is on"):
        DistillationSpec.model_validate({"task_weight": 0} | options)


def test_leaving_out_the_only_term_of_a_label_free_method_is_refused():
    with pytest.raises(ValidationError, match="Something must be minimized"):
        DistillationSpec(task_weight=0, vocabulary=VocabularyKdSpec()).only(["pkd"])
