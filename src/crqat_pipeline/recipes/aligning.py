"""How far each student's text–region space is from the teacher's, on the teacher's positives."""

from __future__ import annotations

import logging
from collections.abc import Mapping

import torch

from crqat_pipeline.detection_data.loader_spec import LoaderSpec
from crqat_pipeline.detection_data.training_loader import training_batches
from crqat_pipeline.detectors.protocol import OpenVocabularyDetector
from crqat_pipeline.evaluation.alignment import AlignmentSummary, GroupAlignment, group_alignments, summarize_alignment
from crqat_pipeline.recipes.specs import EvaluationSpec
from crqat_pipeline.recipes.stage_data import TrainingData
from crqat_pipeline.runtime.device import choose_device

logger = logging.getLogger(__name__)


@torch.inference_mode()
def align_students(
    teacher: OpenVocabularyDetector,
    students: Mapping[str, OpenVocabularyDetector],
    data: TrainingData,
    spec: EvaluationSpec,
    device_name: str,
) -> dict[str, AlignmentSummary]:
    """student -> distances to the teacher over `spec.alignment_images` images, against the whole vocabulary.

    Empty where the teacher's assignment finds no region for any object of these images: the rest of a run goes on.
    """
    device = choose_device(device_name)
    loader, num_batches = whole_vocabulary_loader(data, spec)
    groups: dict[str, list[GroupAlignment]] = {name: [] for name in students}
    teacher.to(device).eval()
    for batch in training_batches(data.split, data.images, data.text_bank, data.vocabulary, loader, 0, 0, num_batches):
        batch = batch.to(device)
        expected = teacher(batch.images_B3HW, batch.text_embeddings)
        positives = teacher.assign(expected, batch.targets)
        for name, student in students.items():
            got = student.to(device).eval()(batch.images_B3HW, batch.text_embeddings)
            groups[name] += group_alignments(expected, student.in_order_of(got, expected), positives)
    if not any(groups.values()):
        logger.warning("Alignment is not measured: no region of the teacher answers for any object of its images")
        return {}
    return {name: summarize_alignment(found) for name, found in groups.items()}


def whole_vocabulary_loader(data: TrainingData, spec: EvaluationSpec) -> tuple[LoaderSpec, int]:
    """Batches with targets, unchanged images and every prompt; and how many make `spec.alignment_images` images."""
    loader = LoaderSpec(
        image_size_px=spec.image_size_px,
        batch_size=min(spec.batch_size, spec.alignment_images, len(data.split.images)),
        num_prompts=len(data.vocabulary),
        prompt_scope="batch",
        use_random_synonyms=False,
        flip_probability=0.0,
    )
    return loader, -(-min(spec.alignment_images, len(data.split.images)) // loader.batch_size)
