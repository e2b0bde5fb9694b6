"""The form `ncnn` of `crqat export`: a folder with a network for ncnn, on phones and boards."""

from __future__ import annotations

import click

from crqat_pipeline.cli.export_request import FLOAT_ATTENTION, ExportRequest

NCNN = "ncnn"
DECIDED = ("opset", "nms", "top", "threshold", "batch", "unsigned_weights")
"""Options of the command about which this form leaves no choice."""


def write(request: ExportRequest) -> None:
    """Write the folder and say what is in it. Raises ValueError for a wish that cannot be granted."""
    from crqat_pipeline.recipes.ncnn_export import export_ncnn

    request.refuse(DECIDED, "has plain outputs of fixed shapes for one image")
    made = export_ncnn(request.opened, request.out, request.proof_images(), request.image_size_px)
    click.echo(f"wrote {request.out}: form ncnn, {made.file_bytes / 2**20:.2f} MB, prompts inside, images (3, H, W)")
    if made.num_left_out:
        click.echo(
            f"{made.num_left_out} pre-activation quantizers are left out: ncnn has floating point between convolutions"
        )
    if made.num_narrowed:
        click.echo(
            f"the lowest code of {made.num_narrowed} grids of 8 bits became the next: int8 in ncnn has 255 codes"
        )
    if made.num_left_out or made.num_narrowed:
        click.echo("so the network is near the student, not equal")
    click.echo(FLOAT_ATTENTION)
    click.echo(str(made.parity))
