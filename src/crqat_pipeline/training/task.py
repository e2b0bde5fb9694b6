"""What one step computes: a detector and its losses, with or without a teacher."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from crqat_pipeline.detectors.protocol import OpenVocabularyDetector
from crqat_pipeline.distillation.loss import TeacherView
from crqat_pipeline.distillation.objective import Objective, distillation_losses
from crqat_pipeline.structures.batch import DetectionBatch
from crqat_pipeline.training.fusion_balance import FusionBalanceSpec, balanced_fusions


class TrainingTask(Protocol):
    """The loop knows nothing but this."""

    detector: OpenVocabularyDetector

    def losses(self, batch: DetectionBatch) -> dict[str, Tensor]:
        """Named, weighted scalar losses of a batch; the loop minimizes their sum."""


class SupervisedTask:
    """The detector's own loss on ground truth."""

    def __init__(self, detector: OpenVocabularyDetector) -> None:
        self.detector = detector

    def losses(self, batch: DetectionBatch) -> dict[str, Tensor]:
        output = self.detector(batch.images_B3HW, batch.text_embeddings)
        return self.detector.loss(output, batch.targets)


class DistillationTask:
    """The student's own loss plus the distillation terms of its stage; the teacher is frozen and in eval mode.

    The teacher runs only what the terms need: nothing, its backbone, or the whole network.
    """

    def __init__(
        self,
        student: OpenVocabularyDetector,
        teacher: OpenVocabularyDetector,
        spec: Objective,
        fusion_balance: FusionBalanceSpec | None = None,
    ) -> None:
        """fusion_balance: gradients of the student are balanced where its branches fuse."""
        self.detector = student
        self._fusion_balance = fusion_balance
        self.teacher = teacher.frozen()
        self.spec = spec

    def losses(self, batch: DetectionBatch) -> dict[str, Tensor]:
        teacher = self._teacher_view(batch)
        with balanced_fusions(self._fusion_balance):
            student = self.detector(
                batch.images_B3HW, batch.text_embeddings, return_features=self.spec.needs_student_features
            )
        task = self.detector.loss(student, batch.targets) if self.spec.task_weight > 0 else {}
        if self.spec.task_weight != 1:
            task = {name: self.spec.task_weight * loss for name, loss in task.items()}
        compared = student if teacher.output is None else self.detector.in_order_of(student, teacher.output)
        return task | distillation_losses(self.spec, compared, teacher)

    @torch.no_grad()
    def _teacher_view(self, batch: DetectionBatch) -> TeacherView:
        if not self.spec.needs_teacher_head:
            needed = self.spec.needs_teacher_backbone
            return TeacherView(self.teacher.backbone_features(batch.images_B3HW) if needed else {})
        output = self.teacher(batch.images_B3HW, batch.text_embeddings, return_features=True)
        features = output.features
        return TeacherView(
            {name: features[name] for name in self.teacher.backbone_feature_names},
            output,
            self.teacher.assign(output, batch.targets) if self.spec.needs_positives else None,
            {name: features[name] for name in self.teacher.neck_feature_names},
        )
