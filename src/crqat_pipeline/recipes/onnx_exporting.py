"""The packed student as an ONNX file, proved on images."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from torch import Tensor

from crqat_pipeline.detection_data.evaluation_loader import evaluation_batches
from crqat_pipeline.detection_data.loader_spec import LoaderSpec
from crqat_pipeline.export.onnx.fitting_form import AUTOMATIC, lacks_pre_activation
from crqat_pipeline.export.verified_onnx import VerifiedOnnx, write_verified_onnx
from crqat_pipeline.model_files.packed import read_packed
from crqat_pipeline.recipes.exportable import calibrated_outputs, of_packed
from crqat_pipeline.recipes.specs import ExportSpec
from crqat_pipeline.recipes.stage_data import TrainingData

BATCH_SIZE = 8
EMPTY = b""
"""Content of the file where ONNX export is off: DVC and Kedro want a file, readers see that there is no graph."""


def export_onnx(
    packed_path: Path, data: TrainingData, spec: ExportSpec
) -> tuple[Callable[[Path], object], dict[str, float]]:
    """A writer of the verified graph, and its figures. Without `spec.onnx`: a writer of an empty file, no figures.

    The graph is made from the packed file as it is read back; see ExportSpec.pre_activation_images for what it may have
    besides. Raises ValueError if it does not compute the student's integers.
    """
    if spec.onnx is None:
        return lambda path: path.write_bytes(EMPTY), {}
    model, num_calibrated = of_packed(read_packed(packed_path)), 0
    if spec.onnx.form == AUTOMATIC and spec.pre_activation_images and lacks_pre_activation(model.detector):
        model = calibrated_outputs(model, _images(data, spec, spec.pre_activation_images, BATCH_SIZE))
        num_calibrated = min(spec.pre_activation_images, len(data.split.images))
    batches = _images(data, spec, spec.parity_images, spec.onnx.batch_size or BATCH_SIZE)
    least = spec.onnx.batch_size or 1
    with tempfile.TemporaryDirectory() as folder:
        verified = write_verified_onnx(
            Path(folder) / "verified.onnx",
            model.detector,
            (images_B3HW for images_B3HW in batches if len(images_B3HW) >= least),
            spec.onnx,
            text_bank=model.text_bank,
            extra_metadata=model.extra,
        )
        content = verified.file.path.read_bytes()
    return lambda path: path.write_bytes(content), _figures(verified) | {"onnx_calibration_images": num_calibrated}


def _images(data: TrainingData, spec: ExportSpec, count: int, batch_size: int) -> Iterator[Tensor]:
    """The first images of the split, (B, 3, H, W) in [0, 1]."""
    split = data.split.with_images(data.split.images[:count])
    loader = LoaderSpec(image_size_px=spec.image_size_px, batch_size=batch_size)
    return (batch.images_B3HW for batch in evaluation_batches(split, data.images, loader))


def _figures(verified: VerifiedOnnx) -> dict[str, float]:
    """Flat numbers. Every mismatch of a verified graph is a tie."""
    parity = verified.parity
    return {
        "onnx_bytes": verified.file.file_bytes,
        "onnx_codes": parity.num_codes,
        "onnx_ties": parity.num_mismatches,
        "onnx_integer_convolutions": parity.integer_convolutions,
        "onnx_float_convolutions": parity.float_convolutions,
        "onnx_largest_box_difference_px": parity.largest_box_difference_px,
        "onnx_largest_score_difference": parity.largest_score_difference,
    }
