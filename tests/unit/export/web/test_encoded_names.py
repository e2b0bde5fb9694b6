"""A name that the bank lacks, in a real browser: encoded there, and found as in Python."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

pytest.importorskip("open_clip")
pytest.importorskip("onnxruntime")
pytest.importorskip("websockets")
from crqat_pipeline.export.onnx import OnnxSpec, write_onnx
from crqat_pipeline.export.web import find_runtime, write_web_folder
from crqat_pipeline.export.web.text_encoder import web_text_encoder
from crqat_pipeline.export.web.text_tower import run_tower
from crqat_pipeline.inference import Predictor
from crqat_pipeline.structures.vocabulary import TextBank
from crqat_pipeline.text_encoders.table import OpenClipSpec
from tests.support.chromium import EXECUTABLE, Browser
from tests.support.same_detections import assert_same_detections
from tests.support.small_students import outspoken, small_detector
from tests.support.static_site import static_site
from tests.support.tiny_clip import tiny_encoder_row

FINISHED = "['ready', 'error'].includes(document.body?.dataset.state) && !!self.crqat"
ROWS = "JSON.stringify([...document.querySelectorAll('#found tbody tr')].map((row) => ({...row.dataset})))"
PHONE = {"width": 390, "height": 844, "deviceScaleFactor": 2, "mobile": True}
SECONDS = 60
UNKNOWN = "Grandma’s 2nd café"


@pytest.mark.slow
@pytest.mark.skipif(EXECUTABLE is None, reason="needs Chromium")
def test_a_name_that_the_bank_lacks_is_encoded_in_the_page(tmp_path):
    try:
        runtime = find_runtime()
    except ValueError as error:
        pytest.skip(str(error))
    encoder = OpenClipSpec(**tiny_encoder_row(tmp_path, dim=64)).build()
    bank = encoder.encode(("red lamp", "stray cat"))
    beside = web_text_encoder(encoder, bank)
    spec = OnnxSpec(form="fp32", batch_size=1, image_size_px=(64, 96), has_embeddings=False, has_text_bank=False)
    graph = write_onnx(tmp_path / "m.onnx", outspoken(small_detector()), spec, text_bank=bank)
    site, picture = tmp_path / "site", tmp_path / "picture.png"
    Image.fromarray(np.random.default_rng(1).integers(0, 255, (80, 150, 3), np.uint8)).save(picture)
    embedding = run_tower(beside.files["model.onnx"], encoder.tokenizer(UNKNOWN).numpy())
    texts_KD = torch.cat([torch.from_numpy(embedding), bank.embeddings_KD[1:]])
    wanted = TextBank((UNKNOWN, "stray cat"), texts_KD, bank.encoder, is_normalized=True)
    predictor = Predictor.load(graph.path)
    threshold = widest_gap(predictor.predict(picture, wanted, score_threshold=0.1)[0].scores_M)
    (expected,) = predictor.predict(picture, wanted, score_threshold=threshold)
    folder = write_web_folder(
        site,
        graph.path,
        graph.facts,
        bank,
        (64, 96),
        runtime,
        score_threshold=threshold,
        has_webgpu=False,
        text_encoder=beside,
    )
    assert folder.total_bytes - folder.download_bytes == beside.total_bytes
    browser = Browser(tmp_path / "profile")
    try:
        browser.call("Emulation.setDeviceMetricsOverride", **PHONE)
        with static_site(site) as address:
            browser.call("Page.navigate", url=address)
            browser.wait_for(FINISHED)
            browser.upload("#picture", picture)
            browser.wait_for("document.getElementById('summary').textContent.includes('among 2 prompts')")
            assert fetched(browser) == [], "the encoder came before it was needed"
            too_long = "cat " * 100
            browser.type_into("#prompts", f"{UNKNOWN}, {too_long}, stray cat")
            browser.evaluate("document.getElementById('detect').click()")
            browser.wait_for("document.getElementById('unknown').innerText.includes('takes 77. Shorten it.')", SECONDS)
            browser.wait_for(f"document.getElementById('found').innerText.includes({UNKNOWN!r})", SECONDS)
            assert len(fetched(browser)) == 2
            rows = json.loads(browser.evaluate(ROWS))
            got = [[wanted.prompts.index(row["prompt"]), float(row["score"]), *json.loads(row["box"])] for row in rows]
            mine = np.column_stack([expected.labels_M, expected.scores_M, expected.boxes_M4])
            assert_same_detections(np.array(got), mine, score_tolerance=1e-4, box_tolerance_px=0.02)
            assert browser.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
            browser.screenshot(tmp_path / "page.png")
            assert browser.foreign == []
        browser.call("Page.navigate", url=address)  # nobody serves any more
        browser.wait_for(FINISHED)
        kept = browser.evaluate(f"crqat.embed({UNKNOWN!r})")
        np.testing.assert_allclose(kept, embedding[0], atol=1e-5)
    finally:
        browser.close()


def widest_gap(scores_M):
    """A threshold that rounding does not move detections across."""
    sorted_M = torch.as_tensor(scores_M).sort(descending=True).values[10:40]
    place = int((sorted_M[:-1] - sorted_M[1:]).argmax())
    return float(sorted_M[place : place + 2].mean())


def fetched(browser):
    """Files of the text encoder that the page has asked for."""
    script = "performance.getEntriesByType('resource').map((entry) => entry.name)"
    return sorted(name for name in browser.evaluate(script) if "/text_encoder/" in name)
