"""`crqat evaluate`: AP of any tool's COCO results file, by a named protocol."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from crqat_pipeline.evaluation.protocol import PROTOCOLS
from crqat_pipeline.runtime.command_line import refused

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


def _num_cpus() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@click.command("evaluate")
@click.option("--gt", "truth_file", required=True, type=FILE, help="COCO or LVIS annotation file (.json, .json.gz).")
@click.option("--detections", "results_file", required=True, type=FILE, help="COCO results file (.json, .json.gz).")
@click.option("--protocol", required=True, type=click.Choice(list(PROTOCOLS)), help="How AP is measured.")
@click.option(
    "--backend",
    type=click.Choice(["reference", "fast"]),
    default="reference",
    show_default=True,
    help="reference: pycocotools, lvis. fast: faster-coco-eval.",
)
@click.option("--processes", type=click.IntRange(1), default=None, help="Worker processes [default: all CPUs].")
@click.option("--slice", "slice_size", type=click.IntRange(1), help="Look at this many images only, drawn with seed 0.")
@click.option("--drop-degenerate", is_flag=True, help="Leave out boxes without width or height instead of refusing.")
@click.option("--categories", is_flag=True, help="Also print AP of every category that has objects.")
@click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON object (AP, AP50, AP75, APr, …) and nothing else."
)
def command(
    truth_file: Path,
    results_file: Path,
    protocol: str,
    backend: str,
    processes: int | None,
    slice_size: int | None,
    drop_degenerate: bool,
    categories: bool,
    as_json: bool,
) -> None:
    """AP of a detections file against an annotation file.

    Category splits that the annotation file names (a list `splits` in each category) are reported as AP_<split>.
    """
    import numpy as np

    from crqat_pipeline.evaluation import evaluate
    from crqat_pipeline.evaluation.detection_check import degenerate_rows
    from crqat_pipeline.evaluation.official_set import random_slice
    from crqat_pipeline.evaluation.results_file import named_splits, read_ground_truth, read_results

    try:
        truth: Mapping[str, Any] = read_ground_truth(truth_file)
        table = read_results(results_file)
        if drop_degenerate:
            bad = degenerate_rows(table)
            click.echo(f"left out {int(bad.sum())} boxes without width or height", err=True)
            table = table.take(~bad)
        if slice_size is not None:
            whole = [image["id"] for image in truth["images"]]
            truth = random_slice(truth, slice_size)
            beside = np.setdiff1d(whole, [image["id"] for image in truth["images"]])
            table = table.take(~np.isin(table.image_ids_M, beside))
        result = evaluate(truth, table, protocol, backend, named_splits(truth), processes=processes or _num_cpus())
    except (ImportError, ValueError) as error:
        raise refused(error) from error
    if as_json:
        facts = {key: value for key, value in result.as_dict().items() if key not in ("metrics", "per_category")}
        rows = {"per_category": result.as_dict()["per_category"]} if categories else {}
        click.echo(json.dumps({**result.metrics, **facts, **rows}, indent=2))
        return
    click.echo(f"{protocol}: {PROTOCOLS[protocol].meaning}")
    click.echo(f"{result.dataset}: {result.num_images} images, {result.num_objects} objects, ", nl=False)
    click.echo(f"{result.num_detections} detections")
    for name, value in result.metrics.items():
        click.echo(f"  {name:<12}{'    –' if value < 0 else f'{100 * value:6.2f}'}")
    for note in result.notes:
        click.echo(note)
    if categories:
        for row in (one for one in result.per_category if one.num_objects):
            click.echo(f"  {row.name:<40}{row.frequency:>2}{row.num_objects:>8} objects{100 * row.ap:8.2f}")
