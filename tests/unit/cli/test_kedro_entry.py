"""`crqat-pipeline`, the entry of the wheel: `kedro run` outside any project folder."""

import os
import subprocess
import sys


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
    assert "Error: 1 fault in the parameters; nothing was run." in result.stderr
    assert "run.seed = -1" in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_kedro_commands_are_not_ours(project):
    from crqat_pipeline import cli

    assert cli.cli.commands == {}
