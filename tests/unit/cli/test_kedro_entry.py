"""`crqat-pipeline`, the entry of the wheel: `kedro run` outside any project folder."""

import os
import subprocess
import sys

import click
from click.testing import CliRunner


def test_it_reads_the_configuration_it_is_given_and_writes_where_it_stands(project, tmp_path):
    arguments = ["--pipelines=data_prep", "--env=smoke", f"--conf-source={project / 'conf'}", "--params=run.seed=-1"]
    environment = os.environ | {"MLFLOW_TRACKING_URI": f"sqlite:///{tmp_path}/mlflow.db"}
    result = subprocess.run(
        [sys.executable, "-m", "crqat_pipeline", *arguments],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 1
    assert "1 fault in the parameters; nothing was run." in result.stderr
    assert "run.seed = -1" in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["info.log"]


def test_kedro_runs_with_our_run_command_and_no_other_of_ours():
    from crqat_pipeline import cli
    from crqat_pipeline.hooks.run_command import command

    context = click.Context(cli.cli)
    assert cli.cli.list_commands(context) == ["run"]
    assert cli.cli.get_command(context, "run") is command
    assert cli.cli.get_command(context, "detect") is None


def test_our_run_command_has_every_option_of_kedros_own():
    from kedro.framework.cli.project import run

    from crqat_pipeline.hooks.run_command import command

    ours, theirs = ({option.name for option in one.params} for one in (command, run))
    assert ours - theirs == {"dry_run", "images_per_second", "verbose"}
    assert theirs <= ours


def test_options_of_the_dry_run_are_refused_without_it():
    from crqat_pipeline.hooks.run_command import command

    result = CliRunner().invoke(command, ["--images-per-second=3"])
    assert result.exit_code == 2
    assert "belongs to --dry-run" in result.output
    result = CliRunner().invoke(command, ["--dry-run", "--to-nodes=x"])
    assert result.exit_code == 2
    assert "leave out to_nodes" in result.output
