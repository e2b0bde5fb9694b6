"""The form `litert` of `crqat export`: a file for LiteRT (TensorFlow Lite), on phones first of all."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from crqat_pipeline.recipes.exportable import ExportableModel

LITERT = "litert"
SUFFIX = ".tflite"
DECIDED = ("opset", "nms", "top", "threshold")
"""Options of the command about which this form leaves no choice."""


def write(
    opened: ExportableModel,
    sources: list[Path],
    out: Path,
    wishes: Mapping[str, Any],
    images: Path | None,
    num_images: int,
) -> None:
    """Write the file and say what is in it. Raises ValueError for a wish that cannot be granted."""
    from crqat_pipeline.recipes.file_export import proof_images
    from crqat_pipeline.recipes.litert_export import export_litert
    from crqat_pipeline.runtime.atomic import check_writable

    given = [f"--{name}" for name in DECIDED if wishes[name] is not None]
    if given:
        raise ValueError(f"The form litert has plain outputs of fixed shapes; got {', '.join(given)}. Leave it out.")
    check_writable(out, sources)
    size_px = wishes["size_px"]
    made = export_litert(
        opened,
        out,
        proof_images(images, size_px, num_images),
        size_px,
        batch_size=wishes["batch"] or 1,
        has_int4_weights=wishes["int4_weights"],
    )
    click.echo(f"wrote {out}: form litert, {made.file_bytes / 2**20:.2f} MB, prompts inside, images (B, H, W, 3)")
    click.echo("attention, whose ranges are per head, is in floating point in the file and in the comparison:")
    click.echo(str(made.parity))
    if made.rounding is not None:
        click.echo(
            f"with weights of four bits LiteRT's own kernels round in fixed point, slower than XNNPACK: "
            f"{made.rounding.num_mismatches} of {made.rounding.num_codes} codes differ, boxes within "
            f"{made.rounding.largest_box_difference_px:.2g} px of the student fed with these codes"
        )
