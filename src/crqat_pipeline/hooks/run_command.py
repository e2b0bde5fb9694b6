"""`kedro run` with --dry-run: Kedro's own command and options, and on request a report in place of the run."""

from __future__ import annotations

import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
from kedro.framework.cli.project import run as kedro_run
from kedro.framework.project import settings
from kedro.utils import find_kedro_project

from crqat_pipeline import pipelines as pipelines_package
from crqat_pipeline.hooks.checks.parameter_faults import did_you_mean
from crqat_pipeline.hooks.command_options import RunCommand, looked_at
from crqat_pipeline.hooks.runner_check import check_runner
from crqat_pipeline.hooks.user_errors import failing_place, is_verbose, keep_traceback, panel, users_error
from crqat_pipeline.runtime.command_line import FiniteRange, show_what_can_be_shown

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
        type=FiniteRange(min=0, min_open=True),
        default=None,
        help="For the hours of --dry-run: training images per second of plain QAT on one GPU.",
    ),
    click.Option(["--verbose"], is_flag=True, help="Show the traceback of every error (also with CRQAT_VERBOSE=1)."),
)


def run(dry_run: bool, images_per_second: float | None, verbose: bool, **options: Any) -> Any:
    """Run the pipeline, or look at it. What the user can mend ends in one screen, without a traceback."""
    show_what_can_be_shown()
    try:
        return _run(dry_run, images_per_second, **options)
    except click.UsageError:  # of RunCommand
        raise
    except Exception as error:
        shown = users_error(error)
        wants_all = verbose or is_verbose()
        if shown is None or (wants_all and not isinstance(error, click.ClickException)):
            raise
        if wants_all:  # click shows no traceback of its own exceptions
            click.echo("".join(traceback.format_exception(error)), err=True)
        click.echo(panel(shown, failing_place(error)), err=True)
        if not wants_all:
            click.echo(keep_traceback(error, _project()), err=True)
        raise click.exceptions.Exit(1) from error


def _run(dry_run: bool, images_per_second: float | None, **options: Any) -> Any:
    if not dry_run:
        if images_per_second is not None:
            raise click.UsageError("--images-per-second belongs to --dry-run; add it.")
        _check_names(options)
        return kedro_run.callback(**options)  # type: ignore[misc]
    wrong = [name for name in FILTERS if options.get(name)]
    if wrong:
        raise click.UsageError(f"--dry-run looks at whole pipelines; leave out {', '.join(wrong)}.")
    from crqat_pipeline.dry_run import examine
    from crqat_pipeline.hooks.configured_run import dry_run_subject

    project = _project()
    source = options.get("conf_source") or str(project / settings.CONF_SOURCE)
    names = [options["pipeline"]] if options.get("pipeline") else list(options.get("pipelines") or ())
    report = examine(
        dry_run_subject(project, source, options.get("env"), names, options.get("params") or {}, images_per_second)
    )
    click.echo(str(report))
    if not report.is_ready:
        raise click.exceptions.Exit(1)
    return None


def _project() -> Path:
    return Path(find_kedro_project(Path.cwd()) or Path.cwd()).resolve()


def _check_names(options: dict[str, Any]) -> None:
    """Raises ValueError for an environment or pipeline that is not there, and for a runner that cannot run it."""
    source = Path(options.get("conf_source") or _project() / settings.CONF_SOURCE)
    env = options.get("env")
    if env and source.is_dir() and not (source / env).is_dir():
        known = sorted(each.name for each in source.iterdir() if each.is_dir())
        raise ValueError(f"No environment {env!r} in {source}.{did_you_mean(env, known)} {_list(known)}")
    names = [options["pipeline"]] if options.get("pipeline") else list(options.get("pipelines") or ())
    folder = Path(pipelines_package.__file__).parent
    known = ["__default__", *sorted(each.parent.name for each in folder.glob("*/pipeline.py"))]
    for name in names:
        if name not in known:
            raise ValueError(f"No pipeline {name!r}.{did_you_mean(name, known)} {_list(known)}")
    check_runner(options.get("runner"), options.get("runner_params") or {}, names)


def _list(known: Sequence[str]) -> str:
    return f"There are: {', '.join(known)}."


command = RunCommand(
    "run",
    params=[*map(looked_at, kedro_run.params), *OPTIONS],
    callback=run,
    help="Run pipelines; with --dry-run, only say what they would read, take and need.",
    context_settings=kedro_run.context_settings,
)
