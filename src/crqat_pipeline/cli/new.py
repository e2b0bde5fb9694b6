"""`crqat new`: an environment of conf/ from a folder of photographs, their boxes and their words."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from crqat_pipeline.runtime.command_line import FiniteRange

if TYPE_CHECKING:
    from crqat_pipeline.dry_run import DryRunReport

FOLDER = click.Path(file_okay=False, path_type=Path)
PATH = click.Path(path_type=Path)
FILE = click.Path(dir_okay=False, path_type=Path)
STAGES = "Training stages"
TIMING_S = 45.0
"""Of all stages together: a wait that still fits a command."""


@click.command("new")
@click.argument("name")
@click.option("--images", required=True, type=FOLDER, help="Folder of the photographs.")
@click.option(
    "--annotations",
    required=True,
    type=PATH,
    help="COCO JSON, folder of YOLO .txt files or its data.yaml, or folder of Pascal VOC .xml files.",
)
@click.option("--val", type=PATH, help="The same for validation [default: a part of --annotations, by class].")
@click.option("--val-images", type=FOLDER, help="Folder of its photographs [default: --images].")
@click.option(
    "--val-share",
    type=FiniteRange(0, 1, True, True),
    default=0.2,
    show_default=True,
    help="Part of --annotations that validates.",
)
@click.option("--lvis", type=FILE, help="LVIS-format file of the validation photographs, for LVIS figures.")
@click.option("--detector", default=None, help="Name of a detector [default: told by --weights; else a small one].")
@click.option("--weights", default=None, help="Ready weights: a file, hf:// or https:// [default: trained here].")
@click.option(
    "--text-encoder",
    default=None,
    help="Name of a text encoder (open_clip, …), JSON with its name and options, or a file of CLIP weights.",
)
@click.option("--embeddings", type=FILE, help="Embeddings of the class names: a text bank (crqat embed), or .npy.")
@click.option("--names", type=FILE, help="JSON with the names of its rows; a text bank has its own.")
@click.option(
    "--image-size", type=click.IntRange(1), default=None, help="Side of the input in pixels [default: by the objects]."
)
@click.option(
    "--steps", type=click.IntRange(1), default=None, help="Training steps at low bits [default: by the images]."
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of the split.")
@click.option("--replace", is_flag=True, help="Over an environment of that name which this command made.")
@click.option(
    "--time/--no-time", "with_time", default=True, show_default=True, help="Try a step of every stage: expected hours."
)
def command(
    name: str,
    images: Path,
    annotations: Path,
    val: Path | None,
    val_images: Path | None,
    val_share: float,
    lvis: Path | None,
    detector: str | None,
    weights: str | None,
    text_encoder: str | None,
    embeddings: Path | None,
    names: Path | None,
    image_size: int | None,
    steps: int | None,
    seed: int,
    replace: bool,
    with_time: bool,
) -> None:
    """Write conf/NAME for photographs of your own, after looking at them.

    Everything that can be wrong with the files is told now, and nothing is written then. Your files stay where they
    are; class names are the prompts.
    """
    from kedro.utils import find_kedro_project

    from crqat_pipeline.own_data import OwnDataRequest, make_environment
    from crqat_pipeline.recipes.embedding import TextSource

    project = Path(find_kedro_project(Path.cwd()) or Path.cwd()).resolve()
    try:
        request = OwnDataRequest(
            name=name,
            images=images,
            annotations=annotations,
            val=val,
            val_images=val_images,
            lvis=lvis,
            detector=detector,
            weights=weights,
            text=TextSource(text_encoder, embeddings, names),
            val_share=val_share,
            seed=seed,
            num_steps=steps,
            image_size_px=image_size,
        )
        made = make_environment(request, project, replace=replace)
        for note in made.notes:
            click.echo(f"  {note}")
        click.echo(f"wrote {made.folder.relative_to(project)}")
        missing = list(made.missing)
        if with_time and not missing:
            click.echo("trying a step of every stage, a minute at most (--no-time: without)")
            report = _dry_run(project, name)
            _show_stages(report)
            missing += report.missing
    except (ValueError, OSError, ImportError) as error:
        raise click.ClickException(str(error)) from error
    for line in missing:
        click.echo(f"still missing: {line}")
    click.echo(f"run it: kedro run --pipelines=crqat_full --env={name}")


def _dry_run(project: Path, env: str) -> DryRunReport:
    """What `kedro run --dry-run` finds of the new environment."""
    from kedro.framework.project import settings
    from kedro.framework.startup import bootstrap_project

    from crqat_pipeline.dry_run import examine
    from crqat_pipeline.hooks.configured_run import dry_run_subject

    bootstrap_project(project)
    return examine(dry_run_subject(project, str(project / settings.CONF_SOURCE), env, ["crqat_full"], {}), TIMING_S)


def _show_stages(report: DryRunReport) -> None:
    for note in report.notes:
        click.echo(f"  {note}")
    for row in report.table_of(STAGES):
        click.echo(row)
