"""The page's scripts against their Python counterparts, in Node."""

import numpy as np
import pytest
import torch
from PIL import Image

from crqat_pipeline.detection_data.rectangle import fit
from crqat_pipeline.detectors.common.selection import SelectionSpec, select_detections
from tests.support.page_scripts import NODE, in_node

pytestmark = pytest.mark.skipif(NODE is None, reason="needs Node.js")


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


def test_a_name_that_was_encoded_is_known_but_no_part_of_the_whole_bank(tmp_path):
    script = """import { Vocabulary } from "./vocabulary.js";
    const words = new Vocabulary(["cat", "tree"], Float32Array.of(1, 2, 3, 4), 2);
    words.add("Zebra", Float32Array.of(5, 6));
    words.add("zebra", Float32Array.of(7, 8));
    const answer = (texts) => texts.map((text) => {
      const { rows, unknown } = words.read(text);
      return [Array.from(words.texts(rows)), rows.map((row) => words.prompts[row]), unknown];
    });"""
    chosen, whole, unknown = in_node(tmp_path, script, ["zebra, cat", "", "zebras"])
    assert chosen == [[5, 6, 1, 2], ["Zebra", "cat"], []]
    assert whole == [[1, 2, 3, 4], ["cat", "tree"], []]
    assert unknown[2] == [{"typed": "zebras", "nearest": []}]
