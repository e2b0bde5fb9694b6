"""`crqat export`: a packed file or checkpoint as an ONNX graph, proved against the model before it is there."""

from __future__ import annotations

from pathlib import Path

import click

from crqat_pipeline.runtime.command_line import FiniteRange, refused

FORMS = ("auto", "fast", "spec", "openvino", "tensorrt", "fp32")
CALIBRATION_IMAGES = 64
FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)


@click.command("export")
@click.argument("model", type=click.Path(path_type=Path))
@click.option("--out", required=True, type=click.Path(dir_okay=False, path_type=Path), help="The .onnx file to write.")
@click.option(
    "--form",
    type=click.Choice(FORMS),
    default="auto",
    show_default=True,
    help="auto: fast with pre-activation quantizers, openvino without, fp32 unquantized. Opset 21; tensorrt: 18.",
)
@click.option("--images", type=FOLDER, help="Images to prove the graph on [default: drawn scenes].")
@click.option("--num-images", type=click.IntRange(1, 100_000), default=8, show_default=True, help="How many of them.")
@click.option("--image-size", type=click.IntRange(1), default=None, help="Side of the input [default: the model's].")
@click.option("--vocabulary", type=click.Path(path_type=Path), help="Text bank to store [default: the model's own].")
@click.option("--fixed-vocabulary", is_flag=True, help="Fold the text bank into the graph: images are its only input.")
@click.option(
    "--static", is_flag=True, help="Batch of one and --image-size only, for runtimes that want static shapes."
)
@click.option(
    "--nms", type=click.IntRange(1, 100_000), default=None, help="Suppression in the graph; so many per prompt at most."
)
@click.option(
    "--threshold",
    type=FiniteRange(0, 1, max_open=True),
    default=0.001,
    show_default=True,
    help="Score, for --nms.",
)
@click.option(
    "--pre-activation-images",
    type=FOLDER,
    help="Calibrate 8-bit pre-activation quantizers on these, so that onnxruntime runs integers (form fast): for a "
    "student trained without; costs about 0.1 AP.",
)
@click.option("--no-embeddings", is_flag=True, help="Leave out the region embeddings: faster (docs/formats/onnx.md).")
def command(
    model: Path,
    out: Path,
    form: str,
    images: Path | None,
    num_images: int,
    image_size: int | None,
    vocabulary: Path | None,
    fixed_vocabulary: bool,
    static: bool,
    nms: int | None,
    threshold: float,
    pre_activation_images: Path | None,
    no_embeddings: bool,
) -> None:
    """Write MODEL (packed int4 or checkpoint) as ONNX.

    The graph's integer codes are compared with the model's own, layer by layer; OUT appears only if they agree.
    """
    if out.suffix != ".onnx":
        raise click.BadParameter(f"the name must end in .onnx; got {out.name}.", param_hint="--out")
    from dataclasses import replace

    from crqat_pipeline.export.onnx import OnnxSpec
    from crqat_pipeline.export.onnx.form_table import FORMS as ROWS
    from crqat_pipeline.export.onnx.requirements import require_onnx
    from crqat_pipeline.inference.saturation import self_test
    from crqat_pipeline.model_files.text_bank_file import read_text_bank
    from crqat_pipeline.recipes.file_export import (
        drawn_images,
        export_file,
        folder_images,
        open_for_export,
        with_integer_outputs,
    )
    from crqat_pipeline.runtime.atomic import check_writable

    try:
        require_onnx()
        check_writable(out, [model])
        opened = open_for_export(model)
        if vocabulary is not None:
            opened = replace(opened, text_bank=read_text_bank(vocabulary))
        side_px = image_size or opened.image_size_px
        spec = OnnxSpec.model_validate(
            {
                "form": form,
                "batch_size": 1 if static else None,
                "image_size_px": (side_px, side_px) if static else None,
                "has_fixed_vocabulary": fixed_vocabulary,
                "has_embeddings": not no_embeddings,
                "score_threshold": threshold,
                "nms_max_detections": nms,
            }
        )
        if pre_activation_images is not None:
            opened = with_integer_outputs(opened, folder_images(pre_activation_images, CALIBRATION_IMAGES), side_px)
        chosen = drawn_images(side_px, num_images) if images is None else folder_images(images, num_images)
        written = export_file(opened, out, spec, chosen, side_px)
    except (ValueError, OSError) as error:
        raise refused(error) from error
    file, parity = written.file, written.parity
    click.echo(f"wrote {out}: form {file.form}, {file.file_bytes / 2**20:.2f} MB, sha256 {file.sha256[:16]}…")
    click.echo(f"made for {ROWS[file.form].purpose}")
    if images is None:
        click.echo("compared on drawn scenes; give --images FOLDER to compare on images of your own")
    if opened.text_bank is None:
        click.echo("the model came without prompts: compared with random embeddings, none are stored")
    click.echo(str(parity))
    click.echo(self_test(file.num_wide_layers))
