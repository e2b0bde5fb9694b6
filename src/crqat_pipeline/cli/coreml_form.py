"""The form `coreml` of `crqat export`: a package for iOS and macOS, checked as far as another system can."""

from __future__ import annotations

import click

from crqat_pipeline.cli.export_request import ExportRequest

COREML = "coreml"
SUFFIX = ".mlpackage"
DECIDED = ("opset", "nms", "top", "threshold", "unsigned_weights")
"""Options of the command about which this form leaves no choice."""
ROUNDING, CODES, SMALL = "quantize", "constexpr_blockwise_shift_scale", "int4 weights"


def write(request: ExportRequest) -> None:
    """Write the package and say what is in it. Raises ValueError for a wish that cannot be granted."""
    from crqat_pipeline.recipes.coreml_export import export_coreml
    from crqat_pipeline.runtime.atomic import check_writable

    request.refuse(DECIDED, "has plain outputs of fixed shapes, and nothing here runs it")
    check_writable(request.out, [request.source])
    made = export_coreml(request.opened, request.out, request.image_size_px, batch_size=request.options["batch"] or 1)
    found = made.num_operators
    click.echo(f"wrote {request.out}: form coreml, {made.file_bytes / 2**20:.2f} MB, prompts inside, for iOS 18")
    click.echo(
        f"read again: {found['conv']} convolutions, {found.get(CODES, 0)} of them with stored codes "
        f"({found.get(SMALL, 0)} of four bits), {found.get(ROUNDING, 0)} tensors rounded to bytes by the learned ranges"
    )
    click.echo(
        "not run: Core ML computes on Apple's systems alone; compare there with crqat detect before you rely on it"
    )
