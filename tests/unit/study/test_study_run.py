"""A whole study, as small as it can be: every cell real, nothing run twice, a lost cell repeated to the digit."""

import json
import math

import pytest

from crqat_pipeline.study.run import Placement, run_study
from crqat_pipeline.study.teachers import train_teacher
from tests.support.tiny_study import STUDY, study_problem, study_spec

pytestmark = pytest.mark.slow


def without_times(row):
    return {name: value for name, value in row.items() if name != "seconds"}


def test_a_study_runs_once_and_goes_on_where_files_are_missing(tmp_path):
    methods = STUDY["methods"] | {"crqat": STUDY["methods"]["crqat"] | {"rate_of": "qat"}}
    study, problem = study_spec(methods=methods), study_problem(tmp_path / "images")
    folder, rows = tmp_path / "study", tmp_path / "rows"
    for seed in study.seeds:  # as an earlier run may have left them
        train_teacher(problem, seed, Placement(folder, rows, study, problem).teacher(seed))

    def run():
        heard = []
        return run_study(study, problem, folder, rows, heard.append), heard

    found, heard = run()
    tuning = {(row["method"], row["learning_rate"], row["seed"]) for row in found if row["phase"] == "tuning"}
    assert tuning == {("qat", 1e-4, 2), ("qat", 1e-3, 2)}
    final = {(row["method"], row["seed"]) for row in found if row["phase"] == "final"}
    assert final == {(method, seed) for method in ("qat", "ptq_omse", "crqat") for seed in (0, 1)}
    assert len(found) == len(heard) == 8
    for row in found:
        assert row["failed"] == ""
        assert all(math.isfinite(row[name]) for name in ("AP", "seconds")), row
        assert ("region_text_mae" in row) == (row["phase"] == "final")
        assert ("lvis_AP" in row) == (row["phase"] == "final")
    assert len({(row["seed"], row["teacher"]) for row in found}) == len({row["teacher"] for row in found}) == 3
    rates = {name: {row["learning_rate"] for row in found[2:] if row["method"] == name} for name in study.methods}
    assert rates["ptq_omse"] == {0.0}
    chosen = max(found[:2], key=lambda row: (row["AP"], -row["learning_rate"]))["learning_rate"]
    assert rates["qat"] == rates["crqat"] == {chosen}
    assert len(list((folder / "teachers").glob("seed?-*.safetensors"))) == 3
    files = sorted(path for path in tmp_path.rglob("*") if path.is_file())
    assert not [path for path in files if path.suffix in (".tmp", ".resume") or "step_" in path.name]

    stamps = {path: path.stat().st_mtime_ns for path in files}
    again, heard = run()
    assert (again, heard) == (found, [])
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()} == stamps

    (lost,) = rows.glob("crqat-final-*-seed1-*.json")
    before = json.loads(lost.read_text())
    lost.unlink()
    for student in (folder / "students").iterdir():
        student.unlink()
    shown = study.model_copy(update={"finished_only": True})
    finished = run_study(shown, problem, folder, rows, heard.append)
    assert heard == []
    assert [without_times(row) for row in finished] == [
        without_times(row) for row in found if (row["method"], row["phase"], row["seed"]) != ("crqat", "final", 1)
    ]
    repeated, heard = run()
    assert [(row["method"], row["phase"], row["seed"]) for row in heard] == [("crqat", "final", 1)]
    assert without_times(json.loads(lost.read_text())) == without_times(before)
    assert [without_times(row) for row in repeated] == [without_times(row) for row in found]
    kept = {path: stamp for path, stamp in stamps.items() if path.parent == rows and path != lost}
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
