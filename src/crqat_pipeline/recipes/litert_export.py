"""One model file as a LiteRT file."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from PIL import Image

from crqat_pipeline.detection_data.rectangle import InputSize, check_input, sides_of
from crqat_pipeline.export.litert import LitertFile, write_litert
from crqat_pipeline.export.onnx.fitting_form import lacks_pre_activation
from crqat_pipeline.quantization.parts import quantizers
from crqat_pipeline.recipes.exportable import ExportableModel
from crqat_pipeline.recipes.file_export import image_batches


def export_litert(
    model: ExportableModel,
    out: Path,
    images: Iterable[Image.Image],
    size_px: InputSize,
    *,
    batch_size: int = 1,
    has_int4_weights: bool = False,
) -> LitertFile:
    """Write `out` once the student came back from it on the images; a model in full precision becomes a float file.

    Raises ValueError for a model without prompts, one whose convolutions would stay in floating point, 4-bit storage of
    a model without 4-bit weights, and whatever `write_litert` refuses.
    """
    if model.text_bank is None:
        raise ValueError("A LiteRT file has its prompts inside, and this model came without. Give --vocabulary.")
    if lacks_pre_activation(model.detector):
        raise ValueError(
            "LiteRT computes on integers where a convolution's output has a range, and this student was trained "
            "without pre-activation quantizers. Give images to calibrate them on: --pre-activation-images FOLDER."
        )
    if has_int4_weights and not _has_four_bits(model):
        raise ValueError("Weights of four bits are stored as such where a model has them. Leave --int4-weights out.")
    check_input(size_px, model.detector.size_divisor)
    batches = image_batches(images, size_px, batch_size, is_fixed=True)
    extra = {key: value for key, value in model.extra.items() if key != "image_size_px"}  # the file's input says it
    return write_litert(
        out,
        model.detector,
        batches,
        sides_of(size_px),
        model.text_bank,
        batch_size=batch_size,
        has_int4_weights=has_int4_weights,
        extra_metadata=extra,
    )


def _has_four_bits(model: ExportableModel) -> bool:
    return any(
        each.is_on and each.grid.bits == 4
        for name, each in quantizers(model.detector)
        if name.rpartition(".")[2] == "weight_quantizer"
    )
