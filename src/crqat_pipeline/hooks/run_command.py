"""`kedro run` with --dry-run: Kedro's own command and options, and on request a report in place of the run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from kedro.framework.cli.project import run as kedro_run
from kedro.framework.project import settings
from kedro.utils import find_kedro_project

FILTERS = ("tags", "node_names", "to_nodes", "from_nodes", "from_inputs", "to_outputs", "namespaces")

OPTIONS = (
    click.Option(
        ["--dry-run"],
        is_flag=True,
        help="Train and write nothing: check files, count data, estimate steps, memory and hours, build every stage. "
        "Exits with 1 and a list when something is missing.",
    ),
    click.Option(
        ["--images-per-second"],
        type=click.FloatRange(min=0, min_open=True),
        default=None,
        help="For the hours of --dry-run: training images per second of plain QAT on one GPU.",
    ),
)


def run(dry_run: bool, images_per_second: float | None, **options: Any) -> Any:
    """Run the pipeline, or look at it."""
    if not dry_run:
        if images_per_second is not None:
            raise click.UsageError("--images-per-second belongs to --dry-run; add it.")
        return kedro_run.callback(**options)  # type: ignore[misc]
    wrong = [name for name in FILTERS if options.get(name)]
    if wrong:
        raise click.UsageError(f"--dry-run looks at whole pipelines; leave out {', '.join(wrong)}.")
    from crqat_pipeline.hooks.dry_run import dry_run_subject
    from crqat_pipeline.recipes.dry_run import examine

    project = Path(find_kedro_project(Path.cwd()) or Path.cwd()).resolve()
    source = options.get("conf_source") or str(project / settings.CONF_SOURCE)
    names = [options["pipeline"]] if options.get("pipeline") else list(options.get("pipelines") or ())
    report = examine(
        dry_run_subject(project, source, options.get("env"), names, options.get("params") or {}, images_per_second)
    )
    click.echo(str(report))
    if not report.is_ready:
        raise click.exceptions.Exit(1)
    return None


command = click.Command(
    "run",
    params=[*kedro_run.params, *OPTIONS],
    callback=run,
    help="Run pipelines; with --dry-run, only say what they would read, take and need.",
    context_settings=kedro_run.context_settings,
)
