"""A stage is run, pushed to a remote, pulled into a fresh clone, and there DVC has nothing to do."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

pytestmark = pytest.mark.slow

COPIED = ("src", "conf", "pyproject.toml", "dvc.yaml", ".dvc/config", ".dvc/.gitignore", ".dvcignore", ".gitignore")
FEW = {"num_train_images": 6, "num_qat_images": 4, "num_val_images": 4}


class Clone:
    """A folder with the project in it, and its own programs."""

    def __init__(self, folder: Path, store: str) -> None:
        self.folder = folder
        self._environment = os.environ | {
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
            "PYTHONPATH": str(folder / "src"),
            "MLFLOW_TRACKING_URI": store,
            "DVC_NO_ANALYTICS": "1",
        }

    def run(self, *command: str, code: int = 0) -> str:
        done = subprocess.run(
            command, cwd=self.folder, env=self._environment, capture_output=True, text=True, timeout=300, check=False
        )
        assert done.returncode == code, f"{' '.join(command)}: {done.stdout}{done.stderr}"
        return done.stdout + done.stderr

    def commit(self) -> None:
        who = ("-c", "user.name=test", "-c", "user.email=test@example.com")
        self.run("git", "add", "--all")
        self.run("git", *who, "commit", "--quiet", "--message", "all")


@pytest.fixture
def first(project, mlflow_store, tmp_path):
    """The project with one small stage."""
    folder = tmp_path / "first"
    for name in COPIED:
        source, target = project / name, folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__", "local"))
        else:
            shutil.copy(source, target)
    (folder / "conf/local").mkdir()
    parameters = folder / "conf/base/parameters_fetch_data.yml"
    content = yaml.safe_load(parameters.read_text())
    content["fetch_data"]["open_shapes"] |= FEW
    parameters.write_text(yaml.safe_dump(content))
    stages = yaml.safe_load((folder / "dvc.yaml").read_text())
    one_stage = {"vars": stages["vars"], "stages": {"fetch_data": stages["stages"]["fetch_data"]}}
    (folder / "dvc.yaml").write_text(yaml.safe_dump(one_stage, sort_keys=False))
    clone = Clone(folder, mlflow_store)
    clone.run("git", "init", "--quiet")
    return clone


def test_push_clone_pull_and_nothing_to_do(first, mlflow_store, tmp_path):
    remote = str(tmp_path / "remote")
    first.run("dvc", "remote", "add", "--default", "--local", "storage", remote)
    assert "Running stage 'fetch_data'" in first.run("dvc", "repro")
    first.commit()
    first.run("dvc", "push")

    first.run("git", "clone", "--quiet", str(first.folder), str(tmp_path / "second"))
    second = Clone(tmp_path / "second", mlflow_store)
    assert not list((second.folder / "data").glob("01_raw/images/*/*.jpg"))
    second.run("dvc", "remote", "add", "--default", "--local", "storage", remote)
    assert "Stage 'fetch_data' didn't change" in second.run("dvc", "repro", "--dry", "--allow-missing")
    second.run("dvc", "pull")
    images = {path.name for path in (second.folder / "data/01_raw/images/train").iterdir()}
    assert images == {path.name for path in (first.folder / "data/01_raw/images/train").iterdir()}
    said = second.run("dvc", "repro")
    assert "Running stage" not in said
    assert "Data and pipelines are up to date." in said
    assert second.run("git", "status", "--porcelain") == ""
