"""The check of a GPU in its small form on a CPU: one table, one file, and what fails is a row."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

CHECK = "benchmarks/gpu/check.py"


@pytest.fixture(scope="module")
def checked(project, tmp_path_factory):
    """The sections that take seconds."""
    out = tmp_path_factory.mktemp("gpu") / "figures.json"
    command = [sys.executable, CHECK, "--reduced", "--sections", "kernels", "ddp", "--json", str(out)]
    done = subprocess.run(command, cwd=project, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout, json.loads(out.read_text())


def test_one_table_has_every_kernel_and_type(checked):
    printed, _ = checked
    lines = [line for line in printed.splitlines() if line.startswith("| kernels |")]
    assert [line.split(" | ")[1] for line in lines] == [
        f"{kernel}, {type_name} against fp64"
        for kernel in ("auto", "eager", "composite", "native")
        for type_name in ("fp32", "bf16")
    ]
    assert "✗" not in printed
    assert "| ddp | losses of one process under gloo |" in printed


def test_the_file_says_which_device_and_has_every_figure(checked):
    _, content = checked
    assert content["is_reduced"] is True
    assert content["device"]["torch"]
    assert set(content["sections"]) == {"kernels", "ddp"}
    errors = content["sections"]["kernels"]["figures"]["errors"]
    assert {name.split(", ")[2] for name in errors} >= {"odd shape", "channels_last", "empty"}
    assert content["sections"]["ddp"]["figures"]["largest_difference"] <= 1e-4


def test_the_kernel_of_a_gpu_is_right_in_an_interpreter(project, tmp_path):
    pytest.importorskip("triton", reason="comes with the CUDA builds of PyTorch")
    out = tmp_path / "errors.json"
    command = [sys.executable, "benchmarks/gpu/kernels.py", "--kernels", "triton", "--json", str(out)]
    environment = os.environ | {"TRITON_INTERPRET": "1"}
    done = subprocess.run(
        command, cwd=project, env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    content = json.loads(out.read_text())
    assert len(content["errors"]) == 32
    for name, error in content["errors"].items():
        assert not isinstance(error, str), f"{name}: {error}"
        assert error <= content["bounds"][name.split(", ")[1]], name


@pytest.fixture
def scripts(project, monkeypatch):
    monkeypatch.syspath_prepend(str(project / "benchmarks/gpu"))
    import check
    import sections

    return check, sections


def test_a_section_that_fails_is_a_row_and_the_exit_code_is_1(scripts, tmp_path):
    check, sections = scripts
    broken = tmp_path / "broken.py"
    broken.write_text("raise SystemExit('no such card')")
    section = sections.Section("broken", broken, (), (), sections.kernel_rows, 60)
    outcome = check.run_section(section, "cpu", True, 60)
    assert "| broken | failed | no such card | | ✗ |" in check.table([outcome], has_bars=False)
    assert not check.is_well([outcome], has_bars=False)
    slow = tmp_path / "slow.py"
    slow.write_text("import time; time.sleep(30)")
    late = check.run_section(sections.Section("slow", slow, (), (), sections.kernel_rows, 1), "cpu", True, 1)
    assert late.failure == "not done after 1 s"


def test_bars_on_times_count_on_a_gpu_alone(scripts):
    check, sections = scripts
    (row,) = sections.curriculum_rows({"total_ratio": 1.3})
    outcome = check.Outcome("method", 1.0, (row,))
    assert check.is_well([outcome], has_bars=False)
    assert not check.is_well([outcome], has_bars=True)
    assert "✗" in check.table([outcome], has_bars=True)


def test_the_bar_of_a_step_is_for_the_fastest_kernel_of_our_own(scripts):
    _, sections = scripts
    times = {"full precision": 1.0, "eager": 1.6, "compiled": 1.2, "brevitas": 1.1}
    figures = {
        "results": {name: {"wall_s": time, "cpu_s": time, "peak_mb": 10.0} for name, time in times.items()},
        "options": {"device": "cuda", "detector": "yolo_world_s", "image_size": 640, "batch": 16},
    }
    met = {row.what.split(", ")[1].split(":")[0]: row.is_met for row in sections.step_rows(figures)}
    assert met == {"full precision": None, "eager": None, "compiled": True, "brevitas": None}


def test_every_section_is_a_script_that_knows_its_options(scripts):
    _, sections = scripts
    assert len({one.name for one in sections.SECTIONS}) == len(sections.SECTIONS)
    for one in sections.SECTIONS:
        text = one.script.read_text(encoding="utf-8")
        for option in (word for word in (*one.full, *one.small, "--device", "--json") if word.startswith("--")):
            assert f'"{option}"' in text, (one.name, option)
