"""The student as a packed int4 file, and the proof that the file is the student."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch

from crqat_pipeline.detection_data.evaluation_loader import evaluation_batches
from crqat_pipeline.detection_data.loader_spec import LoaderSpec
from crqat_pipeline.export.bias_alignment import align_biases
from crqat_pipeline.model_files.packed import read_packed, write_packed
from crqat_pipeline.model_files.rebuilding import RebuiltDetector, rebuild
from crqat_pipeline.recipes.specs import DataPrepSpec, ExportSpec
from crqat_pipeline.recipes.stage_data import TrainingData
from crqat_pipeline.structures.checkpoint import Checkpoint
from crqat_pipeline.structures.vocabulary import TextBank


def pack_student(
    student: Checkpoint, text_bank: TextBank, data_prep: DataPrepSpec, spec: ExportSpec
) -> Callable[[Path], object]:
    """A writer that puts the packed file where it is told; the file says how to make its input and new embeddings."""
    rebuilt = _deployed(student)
    quantization = rebuilt.quantization
    if quantization is None:
        raise ValueError(
            f"Only a quantized student can be packed; this checkpoint of stage {student.metadata.get('stage')!r} is in "
            "full precision. Export the student of a QAT stage."
        )

    def write(path: Path) -> object:
        return write_packed(
            path,
            rebuilt.detector,
            detector_name=rebuilt.row.name,
            detector_options=rebuilt.row.options,
            quantization=quantization,
            text_bank=text_bank,
            extra_metadata={
                "stage": student.metadata.get("stage"),
                "seed": student.metadata.get("seed"),
                "image_size_px": spec.image_size_px,
                "text_encoder": data_prep.encoder.model_dump(mode="json"),
            },
        )

    return write


@torch.inference_mode()
def verify_packed(path: Path, student: Checkpoint, data: TrainingData, spec: ExportSpec) -> dict[str, float]:
    """Sizes, and the largest difference between the file read back and the student. Raises ValueError unless 0."""
    expected, got = _deployed(student).detector, read_packed(path).build().eval()
    texts_KD = data.text_bank.embeddings_KD
    split = data.split.with_images(data.split.images[: spec.parity_images])
    largest = 0.0
    for batch in evaluation_batches(split, data.images, LoaderSpec(image_size_px=spec.image_size_px, batch_size=8)):
        left, right = (detector(batch.images_B3HW, texts_KD) for detector in (expected, got))
        largest = max(largest, float((left.class_logits_BNK - right.class_logits_BNK).abs().max()))
        largest = max(largest, float((left.boxes_BN4 - right.boxes_BN4).abs().max()))
    if largest > 0:
        raise ValueError(
            f"A packed file gives the student's own numbers; {path.name} differs by up to {largest:.3g}. "
            "This is a fault of the export: keep the file and report it."
        )
    full_precision_bytes = sum(value.numel() * 4 for value in student.tensors.values() if value.is_floating_point())
    packed_bytes = path.stat().st_size
    return {
        "packed_bytes": packed_bytes,
        "full_precision_bytes": full_precision_bytes,
        "compression": full_precision_bytes / packed_bytes,
        "parity_images": len(split.images),
        "largest_difference": largest,
    }


def _deployed(student: Checkpoint) -> RebuiltDetector:
    """The student with biases that integer kernels hold exactly: the same one, if it has no pre-activation quantizers.

    Packed file and graph share these biases, so what is measured of one holds for the other.
    """
    rebuilt = rebuild(student)
    if rebuilt.quantization is not None:
        align_biases(rebuilt.detector)
    return rebuilt
