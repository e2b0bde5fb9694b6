"""`kedro run --dry-run`: what it takes from a configured run, its exit code, and that it leaves nothing behind."""

from __future__ import annotations

import pytest
from click.testing import CliRunner
from kedro.framework.startup import bootstrap_project

from crqat_pipeline import dry_run
from crqat_pipeline.dry_run import DryRunReport
from crqat_pipeline.hooks.checks.parameter_check import ParameterFaultsError
from crqat_pipeline.hooks.configured_run import dry_run_subject
from crqat_pipeline.hooks.run_command import command
from tests.support.published_layouts import write_datasets


@pytest.fixture
def subject_of(project, tmp_path, monkeypatch):
    """dry_run_subject of the project's own conf, called from an empty folder that stays empty."""
    bootstrap_project(project)
    empty = tmp_path / "empty"
    empty.mkdir()
    monkeypatch.chdir(empty)

    def make(env, *names, **params):
        return dry_run_subject(project, str(project / "conf"), env, names, params)

    yield make
    assert list(empty.iterdir()) == []


def test_paper_scale_without_files_names_all_that_is_missing(subject_of, tmp_path):
    subject = subject_of("yolo_world_m", "crqat_full", datasets=str(tmp_path / "none"))
    assert set(subject.stages) == {"stage1_backbone", "stage2_neck_head", "qat", "finetuned"}
    missing = [line for entry in subject.inputs for line in entry.missing]
    assert len(missing) == 9  # two annotation files and two folders of QAT, five entries of COCO and LVIS
    assert f"nothing at {tmp_path / 'none/gqa/images'} (gqa)" in missing
    assert (subject.detector.name, subject.fetch_data.source) == ("yolo_world_m", "files")
    assert str(subject.data_root) == "data/yolo_world_m"


def test_paper_scale_with_files_reads_them(subject_of, tmp_path):
    subject = subject_of("yolo_world_l", "crqat_full", datasets=str(write_datasets(tmp_path / "datasets")))
    assert [line for entry in subject.inputs for line in entry.missing] == []
    assert set(subject.splits) == {"train", "qat", "val", "val, LVIS"}
    assert len(subject.splits["qat"].annotations()["images"]) == 12
    assert subject.splits["val"].images().locate("val2017/000000000001.jpg").is_file()


def test_one_stage_wants_what_earlier_stages_make(subject_of, tmp_path, project):
    subject = subject_of("yolo_world_x", "stage2_neck_head", datasets=str(tmp_path))
    wanted = {entry.name: entry.missing for entry in subject.inputs}
    assert {"qat_set", "calibration_set", "teacher_checkpoint", "stage1_backbone_student"} <= set(wanted)
    assert wanted["qat_set"][0].endswith("qat_set.parquet; an earlier stage makes it")
    assert not any(name.endswith("_resume") for name in wanted)
    assert subject.teacher is None
    assert subject.detector.name == "yolo_world_x"


def test_the_embedded_benchmark_needs_nothing(subject_of):
    subject = subject_of("smoke")
    assert subject.inputs == ()
    assert subject.fetch_data.open_shapes.num_qat_images == 32
    assert subject.teacher.weights is None


def test_faulty_parameters_are_refused_as_in_a_run(subject_of):
    with pytest.raises(ParameterFaultsError, match=r"run\.seed = -1"):
        subject_of("smoke", "data_prep", run={"seed": -1})


@pytest.mark.parametrize(("missing", "code"), [([], 0), (["a file"], 1)])
def test_the_exit_code_says_whether_something_is_missing(project, monkeypatch, missing, code):
    bootstrap_project(project)
    monkeypatch.chdir(project)
    seen = []

    def examine(subject):
        seen.append(subject)
        return DryRunReport(subject.title, missing=missing)

    monkeypatch.setattr(dry_run, "examine", examine)
    result = CliRunner().invoke(
        command, ["--pipeline=data_prep", "--env=smoke", "--dry-run", "--images-per-second=5", "--params=run.seed=3"]
    )
    assert result.exit_code == code, result.output
    assert "Dry run of data_prep, environment smoke" in result.output
    assert (seen[0].run.seed, seen[0].images_per_second) == (3, 5.0)
