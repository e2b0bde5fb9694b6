import os
import socket
import stat
import threading
import time
from concurrent.futures import FIRST_EXCEPTION, wait
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from fixed_model import BANK, FixedModel
from PIL import Image

from crqat_pipeline.cli.demo import command
from crqat_pipeline.inference import Predictor
from crqat_pipeline.inference.page import answer, build_page, serve
from tests.support.chromium import EXECUTABLE, Browser


def test_an_answer_is_a_picture_a_line_and_rows():
    predictor = Predictor(FixedModel(box=(0.0, 16.0, 32.0, 48.0)))
    picture, line, rows = answer(predictor, Image.new("RGB", (128, 64)), "stray cat, red lamp", 0.3, 5)
    assert picture.size == (128 * 8, 64 * 8)
    assert line.startswith("1 found among 2 prompts in ")
    assert rows == [["stray cat", 0.9, 0.0, 0.0, 64.0, 64.0]]


def test_no_prompts_ask_for_the_models_own():
    model = FixedModel()
    answer(Predictor(model), Image.new("RGB", (64, 64)), "  ", 0.3, 5)
    assert torch.equal(model.texts[0], BANK.embeddings_KD)


def test_missing_models_are_explained(tmp_path):
    result = CliRunner().invoke(command, [str(tmp_path / "gone.onnx")])
    assert result.exit_code == 1
    assert "No model file" in result.output


@pytest.mark.slow
@pytest.mark.skipif(EXECUTABLE is None, reason="needs Chromium")
def test_the_page_finds_things_in_a_real_browser(tmp_path):
    pytest.importorskip("gradio")
    pytest.importorskip("websockets")
    noise = np.random.default_rng(0).integers(0, 255, (90, 120, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / "picture.png")
    page = build_page({"first": Predictor(FixedModel()), "second": Predictor(FixedModel(box=(8.0, 8.0, 24.0, 30.0)))})
    address = serve(page, host="127.0.0.1", port=0, open_browser=False, keeps_running=False)
    browser = Browser(tmp_path / "profile")
    try:
        assert address.startswith("http://127.0.0.1:")
        browser.call("Page.navigate", url=address)
        browser.wait_for("!!document.querySelector('#prompts textarea, #prompts input')")
        headings = browser.evaluate("[...document.querySelectorAll('h3')].map(h => h.innerText)")
        assert headings == ["first", "second"]
        browser.upload("input[type=file]", tmp_path / "picture.png")
        browser.wait_for("document.querySelectorAll('img').length > 0")
        browser.type_into("#prompts textarea, #prompts input", "stray cat, red lamp")
        browser.evaluate("document.querySelector('#detect').click()")
        browser.wait_for("(document.body.innerText.match(/1 found among 2 prompts/g) || []).length == 2")
        browser.wait_for("[...document.querySelectorAll('img')].filter(i => i.naturalWidth >= 480).length >= 2")
        assert "stray cat" in browser.evaluate("document.body.innerText")
        browser.screenshot(tmp_path / "page.png")
        assert Image.open(tmp_path / "page.png").size[0] > 1000
        browser.type_into("#prompts textarea, #prompts input", ", zebra")
        browser.evaluate("document.querySelector('#detect').click()")
        browser.wait_for("document.body.innerText.includes(\"No embeddings for 'zebra'\")")
        assert browser.foreign == []
    finally:
        browser.close()
        page.close()


@pytest.mark.slow
def test_the_page_is_for_this_machine_only():
    pytest.importorskip("gradio")
    page = build_page({"only": Predictor(FixedModel())})
    address = serve(page, host="127.0.0.1", port=0, open_browser=False, keeps_running=False)
    try:
        port = int(address.rstrip("/").rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port), timeout=5):
            pass
        others = [ip for *_, (ip, *_) in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)]
        for ip in set(others) - {"127.0.0.1", "127.0.1.1"}:
            with pytest.raises(ConnectionError), socket.create_connection((ip, port), timeout=2):
                pass
    finally:
        page.close()


@pytest.mark.slow
def test_uploads_are_limited_private_and_removed(tmp_path):
    """As a program would use the page: uploads over the limit and too many pixels are refused in words."""
    pytest.importorskip("gradio")
    import httpx
    from gradio_client import Client, handle_file

    page = build_page({"only": Predictor(FixedModel())})
    address = serve(page, host="127.0.0.1", port=0, open_browser=False, keeps_running=False)
    try:
        folder = os.environ["GRADIO_TEMP_DIR"]
        assert stat.S_IMODE(os.stat(folder).st_mode) == 0o700
        assert page.delete_cache is not None
        too_large = httpx.post(f"{address}gradio_api/upload", files={"files": ("a.png", b"x" * (26 * 2**20))})
        assert too_large.status_code == 413
        client = Client(address, verbose=False, download_files=str(tmp_path / "answers"))
        Image.new("RGB", (90, 60)).save(tmp_path / "a.png")
        _, line, _ = client.predict(handle_file(tmp_path / "a.png"), "", 0.3, 5, api_name="/detect")
        assert line.startswith("1 found among 2 prompts")
        answers = [path for path in Path(folder).rglob("*") if path.is_file()]
        assert answers
        Image.new("1", (10_000, 6_000)).save(tmp_path / "wide.png")
        with pytest.raises(Exception, match="at most 50,000,000 pixels; got 10000 × 6000"):
            client.predict(handle_file(tmp_path / "wide.png"), "", 0.3, 5, api_name="/detect")
    finally:
        page.close()


class OneByOne(FixedModel):
    """Notes how many requests were inside at once."""

    inside = most = 0

    def detect(self, *arguments, **options):
        self.inside += 1
        self.most = max(self.most, self.inside)
        time.sleep(0.02)
        self.inside -= 1
        return super().detect(*arguments, **options)


@pytest.mark.slow
def test_twenty_requests_at_once_are_answered_one_by_one(tmp_path):
    pytest.importorskip("gradio")
    from gradio_client import Client, handle_file

    model = OneByOne()
    page = build_page({"only": Predictor(model)})
    address = serve(page, host="127.0.0.1", port=0, open_browser=False, keeps_running=False)
    try:
        patient = {"timeout": 300}  # of a machine that has other things to do
        client = Client(address, verbose=False, download_files=str(tmp_path / "answers"), httpx_kwargs=patient)
        Image.new("RGB", (90, 60)).save(tmp_path / "a.png")
        jobs = [client.submit(handle_file(tmp_path / "a.png"), "", 0.3, 5, api_name="/detect") for _ in range(20)]
        assert all(job.result(timeout=300)[1].startswith("1 found") for job in jobs)
        assert model.most == 1
    finally:
        page.close()


class Held(FixedModel):
    """Answers when it is let go."""

    def __init__(self):
        super().__init__()
        self.let_go = threading.Event()

    def detect(self, *arguments, **options):
        assert self.let_go.wait(300)
        return super().detect(*arguments, **options)


@pytest.mark.slow
def test_more_requests_than_the_queue_holds_are_told_so_at_once(tmp_path):
    """One is worked on, 20 wait; the others are refused while the first is still unanswered."""
    pytest.importorskip("gradio")
    from gradio_client import Client, handle_file

    model = Held()
    page = build_page({"only": Predictor(model)})
    address = serve(page, host="127.0.0.1", port=0, open_browser=False, keeps_running=False)
    try:
        patient = {"timeout": 300}
        client = Client(address, verbose=False, download_files=str(tmp_path / "answers"), httpx_kwargs=patient)
        Image.new("RGB", (90, 60)).save(tmp_path / "a.png")
        jobs = [client.submit(handle_file(tmp_path / "a.png"), "", 0.3, 5, api_name="/detect") for _ in range(25)]
        refused, _ = wait([job.future for job in jobs], timeout=120, return_when=FIRST_EXCEPTION)
        assert refused
        assert not model.let_go.is_set()
        model.let_go.set()
        wait([job.future for job in jobs], timeout=300)
        errors = [str(job.future.exception()) for job in jobs if job.future.exception() is not None]
        assert len(errors) in (4, 5)
        assert all("full" in error for error in errors), errors
        answers = [job.future.result() for job in jobs if job.future.exception() is None]
        assert all(answer[1].startswith("1 found") for answer in answers)
    finally:
        model.let_go.set()
        page.close()
