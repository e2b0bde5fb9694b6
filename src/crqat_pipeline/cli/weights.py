"""`crqat weights FILE`: say what a weight file is, and convert it to safetensors."""

from __future__ import annotations

from pathlib import Path

import click

from crqat_pipeline.runtime.command_line import refused


@click.command("weights")
@click.argument("source", metavar="FILE")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Write a checkpoint: a model for detect, export, demo.",
)
def command(source: str, out: Path | None) -> None:
    """Say what FILE holds: format, version, size, what would be loaded and what skipped.

    FILE is whatever a family of detectors reads, such as an mmyolo .pth, an Ultralytics .pt or a .safetensors, or an
    hf:// or https:// address of one (`#sha256=…` at its end pins the content). Nothing inside the file is executed. A
    checkpoint of crqat says itself what it is; --out writes it anew, with a checksum.
    """
    if out is not None and out.suffix != ".safetensors":
        raise click.BadParameter(f"the name must end in .safetensors; got {out.name}.", param_hint="--out")
    from crqat_pipeline.detectors.foreign_weights import read_foreign_weights
    from crqat_pipeline.recipes.weight_conversion import own_checkpoint, write_converted
    from crqat_pipeline.runtime.atomic import check_writable

    try:
        if out is not None:
            check_writable(out, [source])
        own = own_checkpoint(source)
        if own is not None:
            click.echo(own)
            if out is not None:
                click.echo(own.write(out))
            return
        weights = read_foreign_weights(source)
        click.echo(weights)
        if out is not None:
            click.echo(write_converted(weights, out))
    except (OSError, ValueError) as error:
        raise refused(error) from error
