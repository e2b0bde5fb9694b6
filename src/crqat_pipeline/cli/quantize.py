"""`crqat quantize`: a full-precision checkpoint as packed file and ONNX file, without training."""

from __future__ import annotations

from pathlib import Path

import click

from crqat_pipeline.cli.export import FORMS
from crqat_pipeline.runtime.command_line import refused

FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
WITHOUT = "none"


@click.command("quantize")
@click.argument("model", type=click.Path(path_type=Path))
@click.option("--images", required=True, type=FOLDER, help="Photographs to calibrate on, and to prove the graph on.")
@click.option("--bits", default="8-8-8", show_default=True, help="Of weights, activations, attention.")
@click.option(
    "--widths",
    multiple=True,
    help="Layers with other bits: edges=8, backbone=4-8, or a file of crqat allocate; repeatable.",
)
@click.option(
    "--out", type=click.Path(file_okay=False, path_type=Path), help="Folder of the results [default: the model's]."
)
@click.option("--num-images", type=click.IntRange(1, 256), default=128, show_default=True, help="How many of them.")
@click.option("--image-size", type=click.IntRange(1), default=None, help="Side of the input [default: the model's].")
@click.option("--vocabulary", type=click.Path(path_type=Path), help="Text bank of the prompts [default: the model's].")
@click.option(
    "--form",
    type=click.Choice([*FORMS[:-1], WITHOUT]),
    default="auto",
    show_default=True,
    help="Of the ONNX file, see crqat export; none writes the packed file alone.",
)
@click.option("--gate-exchange", is_flag=True, help="Round maps before the gate that scales them (YOLO-World).")
@click.option("--pre-activation-bits", type=click.IntRange(2, 8), help="8: onnxruntime then runs integers (form fast).")
def command(
    model: Path,
    images: Path,
    bits: str,
    widths: tuple[str, ...],
    out: Path | None,
    num_images: int,
    image_size: int | None,
    vocabulary: Path | None,
    form: str,
    gate_exchange: bool,
    pre_activation_bits: int | None,
) -> None:
    """Quantize MODEL by calibration alone (PTQ): packed file and ONNX file, both named by the widths.

    8 bits lose little; at 4 bits a detector needs training: kedro run (docs/how_to/change_bits.md).
    """
    from crqat_pipeline.export.onnx import OnnxSpec
    from crqat_pipeline.export.onnx.form_table import FORMS as ROWS
    from crqat_pipeline.model_files.text_bank_file import read_text_bank
    from crqat_pipeline.quantization import QuantSpec
    from crqat_pipeline.recipes.file_quantization import QuantizationRequest, calibration_files, quantize_file
    from crqat_pipeline.recipes.widths_file import read_options

    try:
        made = quantize_file(
            QuantizationRequest(
                model=model,
                images=calibration_files(images, num_images),
                quantization=QuantSpec.parse(
                    bits,
                    pre_activation_bits=pre_activation_bits,
                    widths=read_options(widths),
                    gate_exchange=gate_exchange,
                ),
                out=model.parent if out is None else out,
                bank=None if vocabulary is None else read_text_bank(vocabulary),
                image_size_px=image_size,
                onnx=None if form == WITHOUT else OnnxSpec.model_validate({"form": form}),
                sources=() if vocabulary is None else (vocabulary,),
            )
        )
    except (ValueError, OSError) as error:
        raise refused(error) from error
    click.echo(f"calibrated on {made.num_images} photographs at {made.image_size_px} px")
    packed = made.packed
    click.echo(f"wrote {packed.path}: {packed.file_bytes / 2**20:.2f} MB, sha256 {packed.sha256[:16]}…")
    if made.graph is not None:
        file = made.graph.file
        click.echo(f"wrote {file.path}: form {file.form}, {file.file_bytes / 2**20:.2f} MB")
        click.echo(f"made for {ROWS[file.form].purpose}")
        click.echo(str(made.graph.parity))
    click.echo(f"try it: crqat detect {packed.path} {images} --out found/")
