"""The code that decides a finished result is the code that dvc.yaml says its stage depends on."""

from __future__ import annotations

from pathlib import Path
from types import MappingProxyType

import yaml

from crqat_pipeline.recipes.code_digest import DETECTING, PACKAGE, TRAINING

SOURCE = "src/crqat_pipeline/"
FINISHED = f"{SOURCE}recipes/finished_stage.py"
REPORTS = {"reporting/run_report", "reporting/model_card"}
"""Draw and tell what was measured: no detection depends on them."""
DECIDE_NOTHING = MappingProxyType(
    {
        "recipes/code_digest.py": "says whether a result is taken, not what it is",
        "recipes/finished_stage.py": "says whether a result is taken, not what it is",
        "recipes/stage_facts.py": "says whether a result is taken, not what it is",
        "recipes/on_workers.py": "hands a stage to workers, which train it by the same functions",
        "recipes/stage_job.py": "hands a stage to workers, which train it by the same functions",
        "recipes/data_files.py": "hands a stage to workers, which train it by the same functions",
        "recipes/worker_fault.py": "hands on what workers refuse",
        "recipes/worker_lines.py": "hands on what workers log",
        "recipes/worker_start.py": "starts workers, which train by the same functions",
        "recipes/gathered.py": "names what is put together; the data itself is among the facts of a training",
        "recipes/inspecting.py": "looks at a student that is trained",
        "sensitivity": "looks at a student that is trained",
        "evaluation/correlation.py": "tells how far what was measured agrees",
        "reporting/layer_map.py": "draws what was measured",
    }
)
"""Code dependencies of training stages on which no trained weight depends, with the reason."""


def code_by_stage(project: Path) -> dict[str, set[str]]:
    """Stage of dvc.yaml -> its rooms and files of the package; the pipelines, which only hand on, are left out."""
    stages = yaml.safe_load((project / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    return {
        name: {
            path.removeprefix(SOURCE)
            for path in stage["deps"]
            if path.startswith(SOURCE) and not path.startswith(f"{SOURCE}pipelines/")
        }
        for name, stage in stages.items()
    }


def test_the_training_code_is_that_of_the_training_stages(project):
    training = [code for code in code_by_stage(project).values() if FINISHED.removeprefix(SOURCE) in code]
    assert len(training) == 4
    assert set().union(*training) - DECIDE_NOTHING.keys() == set(TRAINING)


def test_the_detecting_code_holds_every_room_of_evaluation(project):
    rooms = {path for path in code_by_stage(project)["evaluation"] if not path.endswith(".py")}
    assert rooms - REPORTS <= set(DETECTING)


def test_every_room_and_file_of_the_lists_is_there():
    assert [path for path in (*TRAINING, *DETECTING, *DECIDE_NOTHING) if not (PACKAGE / path).exists()] == []
    assert len(set(DETECTING)) == len(DETECTING)
