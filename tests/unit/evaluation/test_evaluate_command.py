"""The command line: JSON with the agreed keys, messages for people, exit codes."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from crqat_pipeline.cli.evaluate import command
from crqat_pipeline.evaluation import evaluate
from tests.support.evaluation_scenes import random_scene


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    truth, detections = random_scene(6, federated=True)
    truth["categories"][0]["splits"] = ["novel"]
    paths = tmp_path / "truth.json", tmp_path / "found.json.gz"
    paths[0].write_text(json.dumps(truth))
    paths[1].write_bytes(gzip.compress(json.dumps(detections).encode()))
    return paths


def _run(files: tuple[Path, Path], *options: str) -> Result:
    return CliRunner().invoke(command, ["--gt", str(files[0]), "--detections", str(files[1]), *options])


def test_json_has_the_figures_of_the_library_call(files: tuple[Path, Path]) -> None:
    result = _run(files, "--protocol", "lvis-fixed", "--json", "--categories")
    assert result.exit_code == 0
    data = json.loads(result.stdout)
    truth, detections = random_scene(6, federated=True)
    expected = evaluate(truth, detections, "lvis-fixed").metrics
    assert {key: data[key] for key in expected} == expected
    assert {"AP", "AP50", "AP75", "APr", "APc", "APf", "AP_novel"} <= data.keys()
    assert (data["protocol"], data["num_images"], len(data["per_category"])) == ("lvis-fixed", 6, 5)


def test_a_slice_has_its_own_name(files: tuple[Path, Path]) -> None:
    result = _run(files, "--protocol", "lvis", "--slice", "2", "--json")
    assert (result.exit_code, result.stderr) == (0, "")
    data = json.loads(result.stdout)
    assert (data["dataset"], data["num_images"]) == ("unnamed, slice of 2 images (seed 0)", 2)


def test_people_are_told_the_protocol(files: tuple[Path, Path]) -> None:
    result = _run(files, "--protocol", "lvis", "--backend", "fast", "--categories")
    assert result.exit_code == 0
    assert result.stdout.startswith("lvis: LVIS box AP, the best 300 detections per image\n")
    assert "  AP50 " in result.stdout
    assert "kind 0" in result.stdout


def test_bad_input_is_one_message(files: tuple[Path, Path]) -> None:
    result = _run(files, "--protocol", "coco")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("Error: Protocol 'coco' cannot be evaluated")
    assert "'voc' is not one of 'coco', 'lvis', 'lvis-fixed'" in _run(files, "--protocol", "voc").stderr


def test_degenerate_boxes_can_be_left_out(files: tuple[Path, Path]) -> None:
    _, detections = random_scene(6, federated=True)
    detections.append({**detections[0], "bbox": [1, 1, 0, 5]})
    files[1].write_text(json.dumps(detections))
    assert "drop the others" in _run(files, "--protocol", "lvis").stderr
    result = _run(files, "--protocol", "lvis", "--drop-degenerate")
    assert (result.exit_code, result.stderr) == (0, "left out 1 boxes without width or height\n")
