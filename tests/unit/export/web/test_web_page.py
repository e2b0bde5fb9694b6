"""The written page in a real browser, from a plain file server: the same boxes as onnxruntime in Python."""

import json

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

from crqat_pipeline.cli.export import command
from crqat_pipeline.export.web import find_runtime
from crqat_pipeline.inference import Predictor
from crqat_pipeline.model_files.packed import write_packed
from crqat_pipeline.structures.vocabulary import TextBank
from tests.support.chromium import EXECUTABLE, Browser
from tests.support.same_detections import assert_same_detections
from tests.support.small_students import NAME, minmax_spec, outspoken, small_student
from tests.support.static_site import static_site

pytest.importorskip("onnxruntime")
pytest.importorskip("websockets")
FINISHED = "['ready', 'error'].includes(document.body?.dataset.state) && !!self.crqat"
ROWS = "JSON.stringify([...document.querySelectorAll('#found tbody tr')].map((row) => ({...row.dataset})))"
PROMPTS = ("red lamp", "stray cat", "traffic light", "tree", "bicycle")
THRESHOLD = 0.3
PHONE = {"width": 390, "height": 844, "deviceScaleFactor": 2, "mobile": True}
FAKE_CAMERA = ("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream")


@pytest.fixture
def pictures(tmp_path):
    folder = tmp_path / "pictures"
    folder.mkdir()
    rng = np.random.default_rng(1)
    for name, size in (("wide.png", (80, 150)), ("small.png", (40, 30))):
        Image.fromarray(rng.integers(0, 255, (*size, 3), np.uint8)).save(folder / name)
    return folder


@pytest.mark.slow
@pytest.mark.skipif(EXECUTABLE is None, reason="needs Chromium")
def test_the_page_finds_what_python_finds(tmp_path, pictures):
    try:
        find_runtime()
    except ValueError as error:
        pytest.skip(str(error))
    torch.manual_seed(0)
    spec = minmax_spec(pre_activation_bits=8)
    bank = TextBank(PROMPTS, torch.randn(5, 64), "test", is_normalized=False)
    row = {"detector_name": NAME, "detector_options": {}, "quantization": spec}
    packed, site = tmp_path / "m.int4.safetensors", tmp_path / "site"
    write_packed(packed, outspoken(small_student(spec)), **row, text_bank=bank, extra_metadata={"stage": "test"})
    asked = ["--form", "web", "--out", site, "--images", pictures, "--image-size", "64x96", "--threshold", THRESHOLD]
    result = CliRunner().invoke(command, [str(each) for each in (packed, *asked)])
    assert result.exit_code == 0, result.output
    predictor = Predictor.load(site / "model.onnx")
    browser = Browser(tmp_path / "profile", *FAKE_CAMERA)
    try:
        browser.call("Emulation.setDeviceMetricsOverride", **PHONE)
        with static_site(site) as address:
            browser.call("Page.navigate", url=address)
            browser.wait_for(FINISHED)
            assert browser.evaluate("[document.body.dataset.state, self.crossOriginIsolated]") == ["ready", True]
            for name in ("wide.png", "small.png"):
                assert_same_boxes(browser, predictor, bank, pictures / name)
            browser.type_into("#prompts", "stray cat, trafic light")
            browser.evaluate("document.getElementById('detect').click()")
            browser.wait_for("document.getElementById('summary').textContent.includes('among 1 prompts')")
            assert "Nearest: traffic light" in browser.evaluate("document.getElementById('unknown').innerText")
            browser.evaluate("document.querySelector('#unknown button').click()")
            browser.wait_for("document.getElementById('summary').textContent.includes('among 2 prompts')")
            width = browser.evaluate("document.documentElement.scrollWidth")
            assert width <= PHONE["width"], "the page is wider than the phone"
            browser.evaluate("document.getElementById('camera').click()")
            browser.wait_for("Number(document.body.dataset.frames) >= 2")
            browser.evaluate("document.getElementById('camera').click()")
            assert browser.foreign == []
        browser.call("Page.navigate", url=f"{address}?threads=1")  # nobody serves any more
        browser.wait_for(FINISHED)
        assert browser.evaluate("[document.body.dataset.state, document.body.dataset.threads]") == ["ready", "1"]
        assert_same_boxes(browser, predictor, bank, pictures / "wide.png")
        browser.screenshot(tmp_path / "page.png")
    finally:
        browser.close()


def assert_same_boxes(browser, predictor, bank, picture):
    (expected,) = predictor.predict(picture, bank, score_threshold=THRESHOLD)
    browser.evaluate("document.getElementById('summary').textContent = ''")
    browser.upload("#picture", picture)
    browser.wait_for("document.getElementById('summary').textContent !== ''")
    rows = json.loads(browser.evaluate(ROWS))
    got = [[bank.prompts.index(row["prompt"]), float(row["score"]), *json.loads(row["box"])] for row in rows]
    mine = np.column_stack([expected.labels_M, expected.scores_M, expected.boxes_M4])
    assert_same_detections(np.array(got), mine, score_tolerance=1e-4, box_tolerance_px=0.02)
