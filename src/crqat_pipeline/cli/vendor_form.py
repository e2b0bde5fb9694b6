"""The form `vendor` of `crqat export`: a folder for toolchains that quantize by themselves."""

from __future__ import annotations

import click

from crqat_pipeline.cli.export_request import FLOAT_ATTENTION, ExportRequest

VENDOR = "vendor"
DECIDED = ("static", "nms", "top", "no_embeddings", "threshold", "unsigned_weights")
"""Options of the command about which this form leaves no choice."""


def write(request: ExportRequest) -> None:
    """Write the folder and say what is in it. Raises ValueError for a wish that cannot be granted."""
    from crqat_pipeline.export.vendor import VendorSpec
    from crqat_pipeline.recipes.vendor_export import export_vendor

    request.refuse(DECIDED, "has plain outputs of fixed shapes")
    wishes = request.options
    asked = {
        "image_size_px": request.sides_px,
        "has_text_input": not wishes["fixed_vocabulary"],
        "batch_size": wishes["batch"],
        "opset": wishes["opset"],
    }
    spec = VendorSpec.model_validate({name: value for name, value in asked.items() if value is not None})
    made = export_vendor(request.ready(), request.out, spec, request.proof_images())
    click.echo(f"wrote {request.out}: form vendor, opset {spec.opset}, model of {made.file_bytes / 2**20:.2f} MB")
    click.echo(
        f"ranges of {made.num_ranges} tensors and {made.num_weights} weights; {made.num_float_layers} convolutions and "
        "products have none and stay in floating point, as in the student"
    )
    click.echo(FLOAT_ATTENTION)
    click.echo("quantized again by these ranges:")
    click.echo(str(made.parity))
