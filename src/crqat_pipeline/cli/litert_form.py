"""The form `litert` of `crqat export`: a file for LiteRT (TensorFlow Lite), on phones first of all."""

from __future__ import annotations

import click

from crqat_pipeline.cli.export_request import FLOAT_ATTENTION, ExportRequest

LITERT = "litert"
SUFFIX = ".tflite"
DECIDED = ("opset", "nms", "top", "threshold", "unsigned_weights")
"""Options of the command about which this form leaves no choice."""


def write(request: ExportRequest) -> None:
    """Write the file and say what is in it. Raises ValueError for a wish that cannot be granted."""
    from crqat_pipeline.export.litert.runtime import require_litert
    from crqat_pipeline.recipes.litert_export import export_litert
    from crqat_pipeline.runtime.atomic import check_writable

    require_litert()
    request.refuse(DECIDED, "has plain outputs of fixed shapes")
    check_writable(request.out, [request.source])
    made = export_litert(
        request.ready(),
        request.out,
        request.proof_images(),
        request.image_size_px,
        batch_size=request.options["batch"] or 1,
        has_int4_weights=request.options["int4_weights"],
    )
    click.echo(
        f"wrote {request.out}: form litert, {made.file_bytes / 2**20:.2f} MB, prompts inside, images (B, H, W, 3)"
    )
    click.echo(FLOAT_ATTENTION)
    click.echo(str(made.parity))
    if made.rounding is not None:
        click.echo(
            f"with weights of four bits LiteRT's own kernels round in fixed point, slower than XNNPACK: "
            f"{made.rounding.num_mismatches} of {made.rounding.num_codes} codes differ, boxes within "
            f"{made.rounding.largest_box_difference_px:.2g} px of the student fed with these codes"
        )
