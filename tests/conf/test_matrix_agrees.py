"""matrix/dvc.yaml: every cell is a student that the pipelines make, at widths that exist, from the run's teacher."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml
from kedro.framework.project import pipelines
from kedro.pipeline import Pipeline

from crqat_pipeline.catalog_io.gathered import parts_of
from crqat_pipeline.quantization import QuantSpec
from tests.support.dvc_agreement import code_dependencies, kind_of, load_catalog

FILE = Path("matrix/dvc.yaml")
METHODS = ("ptq", "qat", "curriculum", "vocabulary_kd")
ELSEWHERE = ("/reporting/", "inspect", "/sensitivity", "/stage1_", "/stage2_", "similarity", "group_run", "latency")
"""Of the code of the stages, what draws or inspects: no figure of a cell comes from it."""
UNUSED = ("crqat_pipeline/inference", "crqat_pipeline/export", "recipes/scale_history.py")


@pytest.fixture(scope="module")
def cells(project) -> dict[str, Any]:
    """Name -> the stage as DVC itself reads it."""
    from dvc.repo import Repo

    with Repo(str(project)) as repo:
        return {one.name: one for one in repo.index.stages if Path(one.path) == project / FILE}


def option(command: str, name: str) -> str:
    (given,) = (word for word in shlex.split(command) if word.startswith(f"--{name}="))
    return given.partition("=")[2]


def parameters(command: str) -> dict[str, str]:
    return dict(pair.split("=") for pair in option(command, "params").split(","))


def test_cells_are_methods_by_widths(cells):
    assert {name.rpartition("-")[0].removeprefix("cells@") for name in cells} == set(METHODS)
    for name, cell in cells.items():
        method, _, bits = name.removeprefix("cells@").rpartition("-")
        given = parameters(str(cell.cmd))
        assert given.pop("evaluation.forms.student.checkpoint") == f"{method}_student"
        spec = QuantSpec(attention_bits=8, **{key.rpartition(".")[2]: int(value) for key, value in given.items()})
        assert (spec.weight_bits, spec.activation_bits) == (int(bits), int(bits))


@pytest.mark.parametrize("method", METHODS)
def test_a_cell_reads_and_writes_what_it_says(project, cells, method):
    cell = cells[f"cells@{method}-8"]
    command = str(cell.cmd)
    student = f"{method}_student"
    bits = {"weight_bits": 8, "activation_bits": 8}
    chosen = {"evaluation": {"forms": {"student": {"checkpoint": student}}}, "quantization": bits}
    catalog = load_catalog(project, option(command, "env"), chosen)
    whole = sum((pipelines[name] for name in option(command, "pipelines").split(",")), Pipeline([]))
    asked = whole.to_outputs(option(command, "to-outputs"))
    folder = project / "data" / "matrix" / student / "w8a8"
    written = [Path(str(catalog.get(name)._filepath)) for name in asked.outputs() if name in catalog]
    assert [path for path in written if not path.is_relative_to(folder)] == []
    assert [Path(out.fs_path) for out in cell.outs] == [folder / "ap_by_form.json"]

    entries = {name for name in asked.inputs() if not name.startswith("params:") and name != "tracker"}
    stored = [name for name in parts_of(entries, catalog) if kind_of(catalog, name) != "undeclared"]
    read = {Path(str(catalog.get(name)._filepath)).relative_to(project).as_posix() for name in stored}
    said = {dep.def_path for dep in cell.deps if dep.def_path.startswith("data/")}
    assert sorted(read - said) == []


def test_its_code_is_that_of_the_stages(project, cells):
    main = code_dependencies(project)
    stages = ("baselines", "stage1_backbone", "stage2_neck_head", "evaluation")
    theirs = {path for stage in stages for path in main[stage] if not path.endswith(UNUSED)}
    needed = {path for path in theirs if not any(part in path for part in ELSEWHERE)}
    for cell in cells.values():
        said = {dep.def_path for dep in cell.deps}
        assert sorted(path for path in needed - said if Path(path).parent.as_posix() not in said) == []


def test_its_parameters_are_written_somewhere(project):
    stage = yaml.safe_load((project / FILE).read_text(encoding="utf-8"))["stages"]["cells"]
    for entry in stage["params"]:
        for file, keys in entry.items():
            assert set(keys) <= set(yaml.safe_load((project / file).read_text(encoding="utf-8")))
