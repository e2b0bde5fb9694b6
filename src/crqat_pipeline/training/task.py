"""What one step computes: a detector and its losses, with or without a teacher."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import fields, replace
from typing import Any, Protocol

import torch
from torch import Tensor

from crqat_pipeline.detectors.protocol import OpenVocabularyDetector
from crqat_pipeline.distillation.loss import TeacherView
from crqat_pipeline.distillation.objective import Objective, distillation_losses
from crqat_pipeline.runtime.precision import widened
from crqat_pipeline.structures.batch import DetectionBatch
from crqat_pipeline.structures.output import DetectorOutput
from crqat_pipeline.training.feature_memory import FeatureMemory
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

    The teacher runs only what the terms need: nothing, its backbone, or the whole network. With remembered_bytes it
    keeps its backbone's maps of images that may come again.
    """

    def __init__(
        self,
        student: OpenVocabularyDetector,
        teacher: OpenVocabularyDetector,
        spec: Objective,
        fusion_balance: FusionBalanceSpec | None = None,
        *,
        remembered_bytes: int = 0,
    ) -> None:
        """fusion_balance: gradients of the student are balanced where its branches fuse."""
        self.detector = student
        self._fusion_balance = fusion_balance
        self.teacher = teacher.frozen()
        self.spec = spec
        if remembered_bytes:
            memory = FeatureMemory(self.teacher.backbone_features, remembered_bytes)
            self.teacher.backbone_features = memory  # type: ignore[method-assign]

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
            if not self.spec.needs_teacher_backbone:
                return TeacherView({})
            with self._precision(batch):
                features = self.teacher.backbone_features(batch.images_B3HW)
            return TeacherView(self._as_compared(features))
        with self._precision(batch):
            output = self.teacher(batch.images_B3HW, batch.text_embeddings, return_features=True)
        if self.spec.teacher_precision != "float32":
            output = _widened_output(output)
        features = output.features
        return TeacherView(
            {name: features[name] for name in self.teacher.backbone_feature_names},
            output,
            self.teacher.assign(output, batch.targets) if self.spec.needs_positives else None,
            {name: features[name] for name in self.teacher.neck_feature_names},
        )

    def _precision(self, batch: DetectionBatch) -> AbstractContextManager[object]:
        """Of the teacher's forward pass; what surrounds the step, where the objective asks for nothing else."""
        if self.spec.teacher_precision == "float32":
            return nullcontext()
        return torch.autocast(batch.images_B3HW.device.type, torch.bfloat16)

    def _as_compared(self, features: Mapping[str, Tensor]) -> dict[str, Tensor]:
        if self.spec.teacher_precision == "float32":
            return dict(features)
        return {name: widened(map_BCHW) for name, map_BCHW in features.items()}


def _widened_output(output: DetectorOutput) -> DetectorOutput:
    """What a teacher said in half precision, for losses that compare it with float32."""
    tensors = {one.name: getattr(output, one.name) for one in fields(output)}
    changed: dict[str, Any] = {name: widened(value) for name, value in tensors.items() if isinstance(value, Tensor)}
    return replace(output, **changed, features={name: widened(one) for name, one in output.features.items()})
