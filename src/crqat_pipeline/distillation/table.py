"""The distillation losses by name: a loss is a file of this room and a row here.

Rows are summed in this order.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from crqat_pipeline.distillation.loss import Loss
from crqat_pipeline.distillation.pkd import PkdSpec, pkd
from crqat_pipeline.distillation.qfd import QfdSpec, qfd
from crqat_pipeline.distillation.trkd import TrkdSpec, trkd
from crqat_pipeline.distillation.vocabulary_kd import VocabularyKdSpec, vocabulary_kd

LOSSES: Mapping[str, Loss] = MappingProxyType(
    {
        "pkd": Loss(PkdSpec, pkd, teacher_backbone=True, student_features=True),
        "trkd": Loss(TrkdSpec, trkd, positives=True, student_features=True),
        "qfd": Loss(QfdSpec, qfd, teacher_output=True, student_features=True),
        "vocabulary": Loss(VocabularyKdSpec, vocabulary_kd, teacher_output=True),
    }
)
