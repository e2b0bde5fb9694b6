"""`crqat runs`: where the runs that MLflow holds are compared."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from crqat_pipeline.runtime.command_line import refused


@click.command("runs")
@click.option("--store", default=None, help="MLflow's tracking URI [default: that of the runs themselves].")
@click.option("--server", default="http://127.0.0.1:5000", show_default=True, help="Where `mlflow ui` answers.")
@click.option(
    "--send",
    "kept",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Send what a run kept in tracking_fallback.jsonl while the server was away.",
)
@click.option(
    "--that-wrote",
    "written",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Print instead the runs that wrote this file of metrics, or this packed model, in this clone or another.",
)
def command(store: str | None, server: str, kept: Path | None, written: Path | None) -> None:
    """Print one address for each experiment: AP of every form, widths and seeds side by side, one row per run.

    The store may be a server (http://…), whose address is then that of the page. Experiments that are older than this
    command get the page's columns.
    """
    from mlflow.exceptions import MlflowException
    from mlflow.tracking import MlflowClient

    from crqat_pipeline.hooks.tracking.comparison_page import describe_experiment, page_address
    from crqat_pipeline.hooks.tracking.unsent import resend
    from crqat_pipeline.settings import tracking_uri

    store = store or tracking_uri()
    client = MlflowClient(tracking_uri=store)
    try:
        if kept is not None:
            left = resend(kept, client)
            click.echo(f"{left.total()} lines of {kept} could not be sent." if left else f"All of {kept} was sent.")
        experiments = [one for one in client.search_experiments() if one.name != "Default"]
        if written is not None:
            _print_makers(client, experiments, written, store if store.startswith("http") else server)
            return
        for experiment in experiments:
            describe_experiment(client, experiment.experiment_id)
    except (MlflowException, OSError) as error:
        raise refused(error) from error
    if not experiments:
        click.echo(f"No run has been tracked in {store} yet.")
    address = store if store.startswith("http") else server
    for experiment in experiments:
        click.echo(f"{experiment.name}: {page_address(address, experiment.experiment_id)}")


def _print_makers(client: Any, experiments: list[Any], written: Path, address: str) -> None:
    """A line per run: its stage, its revision, and its page. Raises MlflowException when the store cannot."""
    from crqat_pipeline.hooks.tracking.comparison_page import run_address
    from crqat_pipeline.hooks.tracking.input_digests import md5
    from crqat_pipeline.hooks.tracking.makers import makers

    digest = md5(written)
    lines = []
    for run in makers(client, [one.experiment_id for one in experiments], digest):
        tags = run.data.tags
        named = [tags.get("stage", run.info.run_name), *(tags[tag] for tag in ("dvc.exp", "dvc.rev") if tag in tags)]
        lines.append(f"{' '.join(named)}: {run_address(address, run.info.experiment_id, run.info.run_id)}")
    click.echo("\n".join(lines) or f"No run in this store wrote a file with the md5 of {written}, {digest}.")
