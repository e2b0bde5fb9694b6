"""One model file as a Core ML package."""

from __future__ import annotations

from pathlib import Path

from crqat_pipeline.detection_data.rectangle import InputSize, check_input, sides_of
from crqat_pipeline.export.coreml import CoremlPackage, write_coreml
from crqat_pipeline.recipes.exportable import ExportableModel


def export_coreml(model: ExportableModel, out: Path, size_px: InputSize, *, batch_size: int = 1) -> CoremlPackage:
    """Write the package `out`; a model in full precision becomes one in floating point.

    Raises ValueError for a model without prompts, and whatever `write_coreml` refuses.
    """
    if model.text_bank is None:
        raise ValueError("A Core ML package has its prompts inside, and this model came without. Give --vocabulary.")
    if out.exists() and not (out / "Manifest.json").is_file():
        raise ValueError(
            f"The form coreml writes a package of its own, and {out} is something else. Name another place."
        )
    check_input(size_px, model.detector.size_divisor)
    extra = {key: value for key, value in model.extra.items() if key != "image_size_px"}  # the package's input says it
    return write_coreml(
        out, model.detector, sides_of(size_px), model.text_bank, batch_size=batch_size, extra_metadata=extra
    )
