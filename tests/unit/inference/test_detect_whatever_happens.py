"""`crqat detect` with an interruption, a full disk, odd names and damaged files: nothing that was found is lost."""

from __future__ import annotations

import io
import json
import os
import resource
import signal
import subprocess
import sys
import time
import tracemalloc

import numpy as np
import pytest
from click.testing import CliRunner
from fixed_model import FixedModel
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, features

from crqat_pipeline.cli import detect
from crqat_pipeline.inference import Predictor

SLOW_MODEL = """
import signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where the tests were started in the background
sys.path.insert(0, {folder!r})
from fixed_model import FixedModel
from crqat_pipeline.cli import detect
from crqat_pipeline.inference import Predictor
class Slow(FixedModel):
    def detect(self, *images, **options):
        time.sleep({seconds})
        return super().detect(*images, **options)
detect.load_predictor = lambda *_: Predictor(Slow())
detect.command()
"""


@pytest.fixture
def model(tmp_path, monkeypatch):
    """A file in place of a model, whose predictor finds one box in every image."""
    monkeypatch.setattr(detect, "load_predictor", lambda *_: Predictor(FixedModel()))
    file = tmp_path / "model.safetensors"
    file.write_bytes(b"stands for a model")
    return file


def run(*arguments):
    return CliRunner().invoke(detect.command, [os.fspath(argument) for argument in arguments])


def command_line(seconds, *arguments):
    code = SLOW_MODEL.format(folder=os.path.dirname(__file__), seconds=seconds)
    return [sys.executable, "-c", code, *map(os.fspath, arguments)]


def photographs(folder, count):
    folder.mkdir()
    for number in range(count):
        Image.new("RGB", (60, 40), (number % 256, 0, 0)).save(folder / f"{number:03}.jpg")
    return folder


def records(out):
    return json.loads((out / "detections.json").read_text())["images"]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGKILL, -9)])
def test_an_interrupted_command_keeps_what_is_done_and_goes_on(model, tmp_path, number, code):
    pictures, out = photographs(tmp_path / "in", 30), tmp_path / "out"
    running = subprocess.Popen(command_line(0.05, model, pictures, "--out", out), stderr=subprocess.PIPE, text=True)
    while len(list(out.glob("*.jpg"))) < 5:
        time.sleep(0.02)
        assert running.poll() is None
    running.send_signal(number)
    assert running.wait() == code
    assert "Traceback" not in running.stderr.read()
    kept = [json.loads(line) for line in (out / "detections.jsonl").read_text().splitlines()]
    assert 5 <= len(kept) < 30
    assert {record["image"] for record in kept} >= {str(pictures / path.name) for path in out.glob("*.jpg")}
    times = {path: path.stat().st_mtime_ns for path in out.glob("*.jpg")}
    result = run(model, pictures, "--out", out)
    assert result.exit_code == 0, result.output
    assert f"{len(kept)} of 30 files were done before" in result.stderr
    assert all(path.stat().st_mtime_ns == time_ns for path, time_ns in times.items())
    continued = records(out)
    assert run(model, pictures, "--out", tmp_path / "whole").exit_code == 0
    for record in (*continued, *(whole := records(tmp_path / "whole"))):
        record["drawn"] = os.path.basename(record["drawn"])
    assert continued == whole
    assert {path.suffix for path in out.iterdir()} == {".jpg", ".json"}


def test_a_full_disk_stops_with_a_sentence_and_the_command_goes_on(model, tmp_path):
    pictures, out = photographs(tmp_path / "in", 12), tmp_path / "out"

    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))  # of each file: detections.jsonl grows beyond

    arguments = command_line(0, model, pictures, "--out", out)
    result = subprocess.run(arguments, capture_output=True, text=True, preexec_fn=limit, check=False)
    assert result.returncode == 1
    assert "Could not write" in result.stderr
    assert "Traceback" not in result.stderr
    num_kept = len((out / "detections.jsonl").read_text().splitlines())
    assert 0 < num_kept < 12
    again = run(model, pictures, "--out", out)
    assert again.exit_code == 0, again.output
    assert len(records(out)) == 12
    assert not list(out.glob(".*"))


def test_a_name_that_is_not_utf8_is_a_name(model, tmp_path):
    pictures, out = photographs(tmp_path / "in", 1), tmp_path / "out"
    name = os.fsencode(pictures) + b"/caf\xe9.jpg"
    with open(name, "wb") as file:
        Image.new("RGB", (60, 40)).save(file, "JPEG")
    (pictures / "x\ny ü 日本.jpg").write_bytes((pictures / "000.jpg").read_bytes())
    result = run(model, pictures, "--out", out)
    assert result.exit_code == 0, result.output
    assert [os.fsencode(record["image"]) for record in records(out)] == sorted(map(os.fsencode, pictures.iterdir()))
    assert os.path.exists(os.fsencode(out) + b"/caf\xe9.jpg")
    assert r"caf\xe9.jpg: 1 found" in result.stdout
    document = json.loads(run(model, pictures, "--json").stdout)
    assert len(document["images"]) == 3


def test_files_that_cannot_be_used_are_listed_at_the_end(model, tmp_path):
    pictures = photographs(tmp_path / "in", 3)
    (pictures / "001.jpg").write_bytes(b"no image")
    (pictures / "gone.png").symlink_to(pictures / "000.jpg")
    result = run(model, pictures, pictures / "000.jpg", "--out", tmp_path / "out")
    assert result.exit_code == 1
    *_, count, reason = result.stderr.splitlines()
    assert count == "1 of 4 files could not be used:"
    assert str(pictures / "001.jpg") in reason
    assert len(records(tmp_path / "out")) == 4


def _encoded(kind):
    options = {"quality": 80} if kind in ("JPEG", "WEBP", "AVIF") else {}
    file = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 255, (24, 32, 3), np.uint8)
    Image.fromarray(noise).save(file, kind, **options)
    return file.getvalue()


KINDS = ["JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "TGA", "ICO", "JPEG2000"]
KINDS += ["AVIF"] if features.check("avif") else []
SUFFIX = {"JPEG": ".jpg", "TIFF": ".tif", "JPEG2000": ".jp2"}


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(KINDS), st.data())
def test_damage_of_any_format_is_that_files_own(model, tmp_path_factory, kind, data):
    whole = _encoded(kind)
    damaged = bytearray(whole[: data.draw(st.integers(0, len(whole)))])
    for _ in range(data.draw(st.integers(0, 4))):
        if damaged:
            damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    folder = tmp_path_factory.mktemp("damaged")
    (folder / f"a{SUFFIX.get(kind, '.' + kind.lower())}").write_bytes(damaged)
    Image.new("RGB", (60, 40)).save(folder / "b.png")
    result = run(model, folder, "--json")
    assert result.exception is None or isinstance(result.exception, SystemExit)
    first, second = json.loads(result.stdout)["images"]
    assert len(second["detections"]) == 1
    assert result.exit_code == ("error" in first)
    assert "error" not in first or "a." in first["error"]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--device", "foo"], "A device is auto, cpu"),
        (["--text-encoder", "{"], "--text-encoder is a name, or JSON"),
        (["--text-encoder", "{}"], "--text-encoder is a name, or JSON"),
        (["--text-encoder", "nobody"], "Unknown text encoder 'nobody'"),
    ],
)
def test_options_that_cannot_be_are_sentences(tmp_path, arguments, text):
    (tmp_path / "m.safetensors").write_bytes(b"")
    photographs(tmp_path / "in", 1)
    result = run(tmp_path / "m.safetensors", tmp_path / "in", "--json", *arguments)
    assert result.exit_code == 1
    assert text in result.stderr


def test_memory_stays_flat_over_many_detections(model, tmp_path, monkeypatch):
    """60 files with 300 detections each: the records alone would be more than is allowed."""

    class Finds(FixedModel):
        def detect(self, images_B3HW, text_KD, **_):
            one = super().detect(images_B3HW, text_KD, score_threshold=0, max_detections=1)[0]
            return [type(one)(one.boxes_M4.repeat(300, 1), one.scores_M.repeat(300), one.labels_M.repeat(300))]

    monkeypatch.setattr(detect, "load_predictor", lambda *_: Predictor(Finds()))
    pictures = photographs(tmp_path / "in", 1)
    for number in range(1, 60):
        (pictures / f"{number:03}.jpg").symlink_to(pictures / "000.jpg")
    run(model, pictures / "000.jpg", "--json")
    tracemalloc.start()
    with open(os.devnull, "wb") as sink:
        monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(sink))
        before, _ = tracemalloc.get_traced_memory()
        detect.command.main([str(model), str(pictures), "--json"], standalone_mode=False)
        after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert after - before < 500_000
