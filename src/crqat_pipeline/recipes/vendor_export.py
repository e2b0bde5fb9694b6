"""One model file as the folder that a vendor's toolchain is given."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from PIL import Image

from crqat_pipeline.detection_data.rectangle import check_input
from crqat_pipeline.export.vendor import VendorFolder, VendorSpec, write_vendor
from crqat_pipeline.recipes.exportable import ExportableModel
from crqat_pipeline.recipes.file_export import image_batches


def export_vendor(model: ExportableModel, out: Path, spec: VendorSpec, images: Iterable[Image.Image]) -> VendorFolder:
    """Write the folder `out` once the student came back from it on the images.

    Raises ValueError for a model in full precision, one without prompts, a place that is a file, and whatever
    `write_vendor` refuses.
    """
    if model.quantization is None:
        raise ValueError(
            "The form vendor hands over a student's ranges, and this model is in full precision. Export the form fp32, "
            "or quantize it first: crqat quantize."
        )
    if model.text_bank is None:
        raise ValueError("A graph of fixed shapes has so many prompts, and this model came without. Give --vocabulary.")
    if out.exists() and not out.is_dir():
        raise ValueError(f"The form vendor is a folder; {out} is a file. Name another place.")
    check_input(spec.image_size_px, model.detector.size_divisor)
    batches = image_batches(images, spec.image_size_px, spec.batch_size, is_fixed=True)
    extra = {key: value for key, value in model.extra.items() if key != "image_size_px"}  # the graph says it
    return write_vendor(out, model.detector, batches, spec, model.text_bank, extra)
