"""crqat cost: size, MACs and bit operations of a detector, from shapes alone."""

from __future__ import annotations

import json
from typing import Any

import click

from crqat_pipeline.runtime.command_line import refused


@click.command("cost")
@click.option("--detector", required=True, help="Name of a detector; a wrong one lists them all.")
@click.option("--version", type=int, default=None, help="Version of the detector family (YOLO-World: 1 or 2).")
@click.option(
    "--prompts",
    type=click.IntRange(1, 1_000_000),
    default=80,
    show_default=True,
    help="Number of prompts (COCO 80, LVIS 1203).",
)
@click.option("--bits", default="4-4-8", show_default=True, help="weight-activation-attention bits, or none.")
@click.option("--granularity", default="Ch-T-H", show_default=True, help="Steps of weight, activation, attention.")
@click.option(
    "--widths",
    multiple=True,
    help="Layers with other bits: edges=8, similarity=8, backbone=4-8 (weight-activation), a pattern, or a "
    "file of crqat allocate; repeatable.",
)
@click.option(
    "--image-size",
    type=click.IntRange(1, 100_000),
    default=640,
    show_default=True,
    help="Side of the square image in pixels.",
)
@click.option("--layers", is_flag=True, help="Also list every layer and product.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object (size_mb, bops_t, params, ...).")
def command(
    detector: str,
    version: int | None,
    prompts: int,
    bits: str,
    granularity: str,
    widths: tuple[str, ...],
    image_size: int,
    layers: bool,
    as_json: bool,
) -> None:
    """Size in MB (2^20 bytes), MACs and bit operations (BOPs) of one image, without weights or data."""
    import torch

    from crqat_pipeline.detectors import build_detector
    from crqat_pipeline.quantization import QuantSpec, cost
    from crqat_pipeline.recipes.widths_file import read_options

    options: dict[str, Any] = {} if version is None else {"version": version}
    try:
        rules = read_options(widths)
        is_float = bits.lower() in ("none", "fp32")
        spec = None if is_float else QuantSpec.parse(bits, granularity, widths=rules, deployment="simulation")
        with torch.device("meta"):
            model = build_detector(detector, **options)
        report = cost(model, spec, image_size, prompts)
    except ValueError as error:
        raise refused(error) from error
    rows: list[dict[str, Any]] = [
        {"name": row.name, "kind": row.kind, "bits": f"{row.bits[0]}x{row.bits[1]}", "macs": row.macs, "bops": row.bops}
        for row in report.layers
    ]
    if as_json:
        click.echo(json.dumps(report.as_dict() | ({"layers": rows} if layers else {}), indent=2))
        return
    click.echo(f"{detector} {'full precision' if spec is None else spec.notation}, {report}")
    if layers:
        click.echo()
        for row in rows:
            click.echo(f"{row['name']:<60}{row['kind']:<20}{row['bits']:>7}{row['macs'] / 1e6:>12.3f} MMACs")
