"""`crqat allocate`: bit widths of a checkpoint's layers under a budget, label-free."""

from __future__ import annotations

from pathlib import Path

import click

from crqat_pipeline.runtime.command_line import FiniteRange, refused

MENUS = ("npu", "ort", "paper")
FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)


@click.command("allocate")
@click.argument("model", type=click.Path(path_type=Path))
@click.option("--images", required=True, type=FOLDER, help="Photographs, without labels.")
@click.option("--menu", type=click.Choice(MENUS), default="paper", show_default=True, help="What the device can run.")
@click.option(
    "--size-mb", type=FiniteRange(0, min_open=True), help="Largest size [default: that of --bits everywhere]."
)
@click.option(
    "--bops-g", type=FiniteRange(0, min_open=True), help="Most bit operations, 10^9 [default: those of --bits]."
)
@click.option("--time-ms", type=FiniteRange(0, min_open=True), help="Most milliseconds, by --latencies.")
@click.option(
    "--latencies",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="CSV of measured times: layer, weight_bits, activation_bits, milliseconds.",
)
@click.option("--bits", default="4-4-8", show_default=True, help="Uniform widths that the result is compared with.")
@click.option(
    "--prompts", type=click.IntRange(1), default=80, show_default=True, help="Prompts that the budget is for."
)
@click.option("--num-images", type=click.IntRange(1, 256), default=16, show_default=True, help="How many photographs.")
@click.option("--image-size", type=click.IntRange(1), default=None, help="Side of the input [default: the model's].")
@click.option(
    "--vocabulary", type=click.Path(path_type=Path), help="Text bank to draw prompts from [default: its own]."
)
@click.option("--seed", type=int, default=0, show_default=True, help="Of the draw of prompts.")
@click.option("--out", required=True, type=click.Path(dir_okay=False, path_type=Path), help="YAML of the widths.")
def command(
    model: Path,
    images: Path,
    menu: str,
    size_mb: float | None,
    bops_g: float | None,
    time_ms: float | None,
    latencies: Path | None,
    bits: str,
    prompts: int,
    num_images: int,
    image_size: int | None,
    vocabulary: Path | None,
    seed: int,
    out: Path,
) -> None:
    """Give each layer of MODEL, a full-precision checkpoint, its bits: the answers move least within the budget."""
    import yaml

    from crqat_pipeline.allocation import Budget
    from crqat_pipeline.model_files.text_bank_file import read_text_bank
    from crqat_pipeline.quantization import QuantSpec
    from crqat_pipeline.recipes.file_allocation import AllocationRequest, allocate_file
    from crqat_pipeline.recipes.file_quantization import calibration_files
    from crqat_pipeline.recipes.widths_file import parameters_of
    from crqat_pipeline.runtime.atomic import atomic_path, check_writable

    try:
        check_writable(out, [model, *([] if vocabulary is None else [vocabulary])])
        request = AllocationRequest(
            model=model,
            images=calibration_files(images, num_images),
            quantization=QuantSpec.parse(bits),
            menu=menu,
            budget=Budget(size_mb=size_mb, bops_g=bops_g, time_ms=time_ms),
            num_prompts=prompts,
            latencies=latencies,
            bank=None if vocabulary is None else read_text_bank(vocabulary),
            image_size_px=image_size,
            seed=seed,
        )
        result = allocate_file(request)
        with atomic_path(out) as temporary:
            temporary.write_text(yaml.safe_dump(parameters_of(result.widths), sort_keys=False), encoding="utf-8")
    except (ValueError, OSError) as error:
        raise refused(error) from error
    figures = result.metrics
    click.echo(f"{'':<12}{'MB':>9}{'GBOPs':>11}{'movement':>11}")
    click.echo(f"{'allocated':<12}{figures['size_mb']:>9.3f}{figures['bops_g']:>11.2f}{figures['measured']:>11.4f}")
    click.echo(
        f"{bits:<12}{figures['uniform_size_mb']:>9.3f}{figures['uniform_bops_g']:>11.2f}"
        f"{figures['uniform_measured']:>11.4f}"
    )
    if "time_ms" in figures:
        click.echo(f"{figures['time_ms']:.2f} ms in the layers of {latencies}")
    click.echo(
        f"predicted movement: {figures['predicted']:.4f}, with pairs of layers that feed one another "
        f"{figures['predicted_with_pairs']:.4f}"
    )
    click.echo(f"wrote {out}; movement is that of calibration alone, before any training")
    click.echo(
        f"use it: crqat quantize {model} --images {images} --bits {bits} --widths {out}, or copy it to conf/local/"
    )
