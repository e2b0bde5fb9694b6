"""One model file as an ncnn network."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from PIL import Image

from crqat_pipeline.detection_data.rectangle import InputSize, check_input, sides_of
from crqat_pipeline.export.ncnn import NcnnFolder, write_ncnn
from crqat_pipeline.recipes.exportable import ExportableModel
from crqat_pipeline.recipes.file_export import image_batches


def export_ncnn(model: ExportableModel, out: Path, images: Iterable[Image.Image], size_px: InputSize) -> NcnnFolder:
    """Write the folder `out` once the student came back from it on the images; a model in full precision becomes a
    network in floating point.

    Raises ValueError for a model without prompts, a place that is a file, and whatever `write_ncnn` refuses.
    """
    if model.text_bank is None:
        raise ValueError("A network of ncnn has its prompts inside, and this model came without. Give --vocabulary.")
    if out.exists() and not out.is_dir():
        raise ValueError(f"The form ncnn is a folder; {out} is a file. Name another place.")
    check_input(size_px, model.detector.size_divisor)
    batches = image_batches(images, size_px, 1, is_fixed=True)
    extra = {key: value for key, value in model.extra.items() if key != "image_size_px"}  # the network's input says it
    return write_ncnn(out, model.detector, batches, sides_of(size_px), model.text_bank, extra)
