"""`kill -9` in the middle of stage 2, then the same command again: the same bits, and nothing trained twice."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch

from tests.support.killed_run import KilledRun, steps_by_stage, taken_stages

pytestmark = pytest.mark.slow

NUM_STEPS, EVERY = 16, 2
TINY = {
    "fetch_data": {"open_shapes": {"num_train_images": 12, "num_qat_images": 8, "num_val_images": 4}},
    "data_prep": {"calibration_images": 4},
    "teacher": {"loader": {"image_size_px": 64, "batch_size": 4}, "optimization": {"num_steps": 4}},
    "stage1_backbone": {"train": {"loader": {"image_size_px": 64, "batch_size": 4}, "optimization": {"num_steps": 2}}},
    "stage2_neck_head": {
        "train": {
            "loader": {"image_size_px": 64, "batch_size": 4},
            "optimization": {"num_steps": 10, "checkpoint_every_steps": 1},
        }
    },
}
"""Every stage real, in seconds."""


def trained_stages(smoke, folder: Path, store: Path) -> KilledRun:
    """The command of both curriculum stages on a copy of the whole run's data, without the last student."""
    shutil.copytree(smoke.data, folder / "data")
    shutil.copytree(smoke.conf, folder / "conf")
    (folder / "conf" / "smoke" / "globals.yml").write_text(f"data_root: {folder / 'data'}\n", encoding="utf-8")
    shutil.copy(store, folder / "mlflow.db")
    arguments = (
        "--env=smoke",
        "--pipelines=stage1_backbone,stage2_neck_head",
        f"--params=stage2_neck_head.train.optimization.num_steps={NUM_STEPS},"
        f"stage2_neck_head.train.optimization.checkpoint_every_steps={EVERY}",
    )
    one = KilledRun(smoke.folder, folder / "conf", folder / "data", folder / "mlflow.db", arguments)
    (one.stage / "student.safetensors").unlink()
    return one


def tiny_project(project: Path, folder: Path, store: Path) -> KilledRun:
    """The command of everything up to the student of stage 2, on a folder where nothing is made yet."""
    tiny = folder / "conf" / "tiny"
    shutil.copytree(project / "conf", folder / "conf")
    tiny.mkdir()
    (tiny / "globals.yml").write_text(f"extends: smoke\ndata_root: {folder / 'data'}\n", encoding="utf-8")
    (tiny / "parameters.yml").write_text(json.dumps(TINY), encoding="utf-8")
    shutil.copy(store, folder / "mlflow.db")
    arguments = ("--env=tiny", "--pipelines=crqat_full", "--to-nodes=stage2_neck_head.train")
    return KilledRun(project, folder / "conf", folder / "data", folder / "mlflow.db", arguments)


def assert_same_bits_and_nothing_left(whole: KilledRun, killed: KilledRun) -> None:
    expected, got = whole.student(), killed.student()
    assert expected.keys() == got.keys()
    assert all(torch.equal(expected[name], got[name]) for name in expected)
    for one in (whole, killed):
        assert not one.resume.exists()
        assert not [path for path in one.data.rglob("*") if path.name.endswith(".tmp")]


def test_a_killed_run_ends_with_the_bits_of_one_that_was_not(smoke, tmp_path, mlflow_template):
    whole, killed = (trained_stages(smoke, tmp_path / name, mlflow_template) for name in ("whole", "killed"))
    assert steps_by_stage(whole.run()) == {"stage2_neck_head": NUM_STEPS}

    killed.kill_after(step=4)
    first = killed.steps()
    assert len(first) == 2
    assert first[-1] < NUM_STEPS - EVERY

    # Again, and killed again: it goes on where it was. The newest checkpoint is cut short, so the one before it counts.
    second = killed.kill_after(step=first[-1] + 2 * EVERY)
    assert steps_by_stage(second) == {"stage2_neck_head": NUM_STEPS - first[-1]}
    *_, older, newest = killed.steps()
    damaged = killed.checkpoint(newest)
    damaged.write_bytes(damaged.read_bytes()[: damaged.stat().st_size // 2])
    assert steps_by_stage(killed.run()) == {"stage2_neck_head": NUM_STEPS - older}

    assert_same_bits_and_nothing_left(whole, killed)


def test_what_was_trained_before_the_stage_that_was_killed_is_taken(project, tmp_path, mlflow_template):
    whole, killed = (tiny_project(project, tmp_path / name, mlflow_template) for name in ("whole", "killed"))
    every_step = {"teacher": 4, "stage1_backbone": 2, "stage2_neck_head": 10}
    for output in (whole.run(), killed.kill_after(step=3)):
        assert steps_by_stage(output) == every_step
        assert taken_stages(output) == []

    last = killed.steps()[-1]
    assert last < every_step["stage2_neck_head"] - 1
    again = killed.run()
    assert taken_stages(again) == ["teacher", "stage1_backbone"]
    assert steps_by_stage(again) == {"stage2_neck_head": every_step["stage2_neck_head"] - last}

    assert_same_bits_and_nothing_left(whole, killed)
