"""The page's scripts against their Python counterparts, in Node."""

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import crqat_pipeline.export.web as web
from crqat_pipeline.detection_data.rectangle import fit
from crqat_pipeline.detectors.common.selection import SelectionSpec, select_detections

NODE = shutil.which("node")
PAGE = Path(web.__file__).parent / "page"
pytestmark = pytest.mark.skipif(NODE is None, reason="needs Node.js")


def in_node(folder, script, value):
    """What `answer(value)` of the script gives, by JSON."""
    (folder / "value.json").write_text(json.dumps(value))
    for file in PAGE.glob("*.js"):
        shutil.copyfile(file, folder / file.name)
    (folder / "package.json").write_text('{"type": "module"}')
    whole = (
        'import { readFileSync } from "node:fs";\n'
        f"{script}\n"
        'console.log(JSON.stringify(answer(JSON.parse(readFileSync("value.json", "utf8")))));\n'
    )
    (folder / "main.js").write_text(whole)
    done = subprocess.run([NODE, "main.js"], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_pictures_are_fitted_as_in_training_to_the_last_bit(tmp_path):
    rng = np.random.default_rng(3)
    cases = [
        ((50, 81), (64, 64)),
        ((200, 120), (64, 96)),
        ((20, 31), (64, 64)),
        ((64, 40), (64, 64)),
        ((3, 90), (32, 64)),
    ]
    pictures = [rng.integers(0, 256, (height, width, 3), np.uint8) for (width, height), _ in cases]
    alpha = [np.dstack([pixels, np.full(pixels.shape[:2], 255, np.uint8)]) for pixels in pictures]
    script = """import { letterbox } from "./letterbox.js";
    const answer = (cases) => cases.map(([rgba, width, height, input]) => {
      const { values, left, top, scaleX, scaleY } = letterbox(Uint8ClampedArray.from(rgba), width, height, ...input);
      return [Array.from(values), left, top, scaleX, scaleY];
    });"""
    asked = [
        [pixels.flatten().tolist(), *size, input_px] for pixels, (size, input_px) in zip(alpha, cases, strict=True)
    ]
    for pixels, (_, input_px), (values, left, top, *scales) in zip(
        pictures, cases, in_node(tmp_path, script, asked), strict=True
    ):
        fitted, geometry = fit(Image.fromarray(pixels), input_px)
        expected = np.asarray(fitted).transpose(2, 0, 1).astype(np.float32) / 255
        assert np.array_equal(np.asarray(values, np.float32), expected.ravel())
        assert (left, top, *scales) == (geometry.left, geometry.top, geometry.scale_x, geometry.scale_y)


def test_detections_are_selected_as_in_python(tmp_path):
    generator = torch.Generator().manual_seed(5)
    corner = torch.rand(60, 2, generator=generator) * 40
    boxes_N4 = torch.cat([corner, corner + 5 + torch.rand(60, 2, generator=generator) * 30], 1)
    scores_NK = torch.rand(60, 3, generator=generator)
    script = """import { select } from "./selection.js";
    const answer = ({ scores, boxes, options }) =>
      select(Float32Array.from(scores.flat()), Float32Array.from(boxes.flat()), 3, options);"""
    for iou in (0.5, None):
        options = {"threshold": 0.3, "limit": 40, "iou": iou, "candidates": 100}
        asked = {"scores": scores_NK.tolist(), "boxes": boxes_N4.tolist(), "options": options}
        got = in_node(tmp_path, script, asked)
        spec = SelectionSpec(max_candidates=100, nms_iou=iou)
        expected = select_detections(scores_NK.logit(), boxes_N4, 0.3, 40, spec)
        assert [each["label"] for each in got] == expected.labels_M.tolist()
        np.testing.assert_allclose([each["box"] for each in got], expected.boxes_M4, rtol=1e-6)


def test_typed_words_are_rows_of_the_bank_or_have_neighbours(tmp_path):
    script = """import { Vocabulary } from "./vocabulary.js";
    const words = new Vocabulary(["Red Lamp", "stray cat", "traffic light", "cat"], new Float32Array(8), 2);
    const answer = (texts) => texts.map((text) => words.read(text));"""
    known, whole, unknown, foreign = in_node(
        tmp_path, script, [" red lamp , CAT,cat", " ", "trafic lights, stray  cat, cat", "zzz"]
    )
    assert known == {"rows": [0, 3], "unknown": []}
    assert whole["rows"] == [0, 1, 2, 3]
    assert unknown["rows"] == [3]
    assert [each["typed"] for each in unknown["unknown"]] == ["trafic lights", "stray  cat"]
    assert unknown["unknown"][0]["nearest"][0] == "traffic light"
    assert unknown["unknown"][1]["nearest"][0] == "stray cat"
    assert foreign == {"rows": [], "unknown": [{"typed": "zzz", "nearest": []}]}
