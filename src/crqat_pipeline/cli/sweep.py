"""`crqat sweep`: what several widths cost a detector, by calibration alone."""

from __future__ import annotations

from pathlib import Path

import click

from crqat_pipeline.runtime.command_line import refused

FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)


@click.command("sweep")
@click.argument("model", type=click.Path(path_type=Path))
@click.option("--images", required=True, type=FOLDER, help="Photographs to calibrate on.")
@click.option("--annotations", required=True, type=click.Path(path_type=Path), help="To score on: as crqat new takes.")
@click.option("--val-images", type=FOLDER, help="Folder of the annotated photographs [default: --images].")
@click.option("--bits", default="8-8-8 6-6-8 4-8-8 4-4-8", show_default=True, help="Widths, with spaces between.")
@click.option("--num-images", type=click.IntRange(1, 256), default=128, show_default=True, help="To calibrate on.")
@click.option("--image-size", type=click.IntRange(1), default=None, help="Side of the input [default: the model's].")
@click.option("--vocabulary", type=click.Path(path_type=Path), help="Text bank of the prompts [default: the model's].")
def command(
    model: Path,
    images: Path,
    annotations: Path,
    val_images: Path | None,
    bits: str,
    num_images: int,
    image_size: int | None,
    vocabulary: Path | None,
) -> None:
    """AP, size and bit operations of MODEL at each width beside full precision; nothing is trained or written.

    Trained widths: kedro run --params quantization.bits=4-4-8 (docs/how_to/change_bits.md).
    """
    from crqat_pipeline.detection_data.annotation_checks import check_annotations
    from crqat_pipeline.detection_data.annotation_file import AnnotationFile
    from crqat_pipeline.detection_data.image_folder import ImageFolder
    from crqat_pipeline.detection_data.layouts import read_annotations
    from crqat_pipeline.model_files.text_bank_file import read_text_bank
    from crqat_pipeline.quantization import QuantSpec
    from crqat_pipeline.recipes.file_quantization import QuantizationRequest, calibration_files
    from crqat_pipeline.recipes.width_sweep import sweep

    widths = tuple(dict.fromkeys(bits.replace(",", " ").split()))
    try:
        folder = ImageFolder(val_images or images)
        truth = AnnotationFile(read_annotations(annotations, folder), str(annotations))
        check_annotations(truth, folder, federated=False, decode_images=False)
        request = QuantizationRequest(
            model=model,
            images=calibration_files(images, num_images),
            quantization=QuantSpec.parse(widths[0] if widths else ""),
            out=Path(),
            bank=None if vocabulary is None else read_text_bank(vocabulary),
            image_size_px=image_size,
        )
        click.echo(f"{'bits':<16}{'AP':>7}{'AP50':>7}{'MB':>9}{'GBOPs':>10}")
        for one in sweep(request, widths, truth, folder):
            figures = f"{100 * one.ap:>7.1f}{100 * one.ap50:>7.1f}{one.size_mb:>9.2f}{1000 * one.bops_t:>10.1f}"
            click.echo(f"{one.bits:<16}{figures}")
    except (ValueError, OSError) as error:
        raise refused(error) from error
