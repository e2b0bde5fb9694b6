"""Every notebook runs from top to bottom on the files of the smoke run, and is kept without outputs."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

pytest.importorskip("nbclient", reason="notebooks are executed with nbclient (extra dev)")

from tests.conftest import PROJECT
from tests.support.notebook_run import execute, pictures, read

FOLDER = PROJECT / "notebooks"
PICTURES = {
    "1_look_at_the_data": 2,
    "2_compare_stages_and_widths": 1,
    "3_alignment": 3,
    "4_use_your_own_words": 1,
    "5_bring_your_own_detector": 0,
}
"""Notebook -> how many pictures it draws."""


@pytest.fixture(scope="module")
def folder(whole_run, tmp_path_factory):
    """A project with the files of the smoke run, Git and DVC aside; kernels find it through their folder."""
    copied = whole_run.copy(tmp_path_factory.mktemp("notebooks") / "project")
    (copied.folder / ".dvc").mkdir()
    (copied.folder / ".dvc" / "config").write_text("[core]\n    no_scm = true\n", encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", copied.store)
        patch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [str(PROJECT / "src"), os.environ.get("PYTHONPATH")])))
        yield copied.folder


def test_every_notebook_is_known_here():
    assert {path.stem for path in FOLDER.glob("*.ipynb")} == PICTURES.keys()


@pytest.mark.parametrize("name", PICTURES)
def test_notebooks_are_kept_without_outputs(name):
    cells = [cell for cell in read(FOLDER / f"{name}.ipynb").cells if cell.cell_type == "code"]
    assert cells
    assert not [cell.source for cell in cells if cell.outputs or cell.execution_count]


@pytest.mark.slow
@pytest.mark.parametrize("name", PICTURES)
def test_notebooks_run_and_draw(name, folder):
    assert pictures(execute(FOLDER / f"{name}.ipynb", folder)) == PICTURES[name]


@pytest.mark.slow
def test_kedro_ipython_knows_the_catalog(folder):
    said = "print('words:', len(catalog.load('vocabulary')))"
    command = [sys.executable, "-m", "kedro", "ipython", "-c", said]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "words: 240" in done.stdout


@pytest.mark.slow
def test_the_kernel_of_kedro_jupyter_loads_the_project(folder, tmp_path):
    command = [sys.executable, "-m", "kedro", "jupyter", "setup"]
    environment = os.environ | {"JUPYTER_DATA_DIR": str(tmp_path)}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    kernel = json.loads((tmp_path / "kernels/kedro_crqat_pipeline/kernel.json").read_text(encoding="utf-8"))
    assert kernel["argv"][-2:] == ["--ext", "kedro.ipython"]
