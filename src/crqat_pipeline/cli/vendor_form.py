"""The form `vendor` of `crqat export`: a folder for toolchains that quantize by themselves."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from crqat_pipeline.recipes.exportable import ExportableModel

VENDOR = "vendor"
DECIDED = ("static", "nms", "top", "no_embeddings", "threshold")
"""Options of the command about which this form leaves no choice."""


def write(
    opened: ExportableModel,
    sources: list[Path],
    out: Path,
    wishes: Mapping[str, Any],
    images: Path | None,
    num_images: int,
) -> None:
    """Write the folder and say what is in it. Raises ValueError for a wish that cannot be granted."""
    from crqat_pipeline.export.vendor import VendorSpec
    from crqat_pipeline.recipes.file_export import proof_images
    from crqat_pipeline.recipes.vendor_export import export_vendor

    given = [f"--{name.replace('_', '-')}" for name in DECIDED if wishes[name]]
    if given:
        raise ValueError(f"The form vendor has plain outputs of fixed shapes; got {', '.join(given)}. Leave it out.")
    size_px = wishes["size_px"]
    asked = {
        "image_size_px": (size_px, size_px) if isinstance(size_px, int) else size_px,
        "has_text_input": not wishes["fixed_vocabulary"],
        "batch_size": wishes["batch"],
        "opset": wishes["opset"],
    }
    spec = VendorSpec.model_validate({name: value for name, value in asked.items() if value is not None})
    made = export_vendor(opened, out, spec, proof_images(images, size_px, num_images))
    click.echo(f"wrote {out}: form vendor, opset {spec.opset}, model of {made.file_bytes / 2**20:.2f} MB")
    click.echo(
        f"ranges of {made.num_ranges} tensors and {made.num_weights} weights; {made.num_float_layers} convolutions and "
        "products have none and stay in floating point, as in the student"
    )
    click.echo("quantized again by these ranges, in floating point but for attention, whose ranges are per head:")
    click.echo(str(made.parity))
