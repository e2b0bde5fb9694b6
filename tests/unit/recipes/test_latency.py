"""Times are medians after a warm-up, in turns; the conditions are told."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from PIL import Image

from crqat_pipeline.detection_data.image_folder import ImageFolder
from crqat_pipeline.detection_data.image_table import PreparedImage
from crqat_pipeline.detection_data.prepared_split import PreparedCategory, PreparedSplit
from crqat_pipeline.model_files.rebuilding import to_checkpoint
from crqat_pipeline.recipes.latency import WARM_UP_CALLS, cpu_name, measure_latency, median_ms
from crqat_pipeline.recipes.specs import EvaluationSpec, NamedBuilderSpec
from crqat_pipeline.recipes.stage_data import TrainingData
from crqat_pipeline.structures.vocabulary import TextBank, Vocabulary
from tests.support.random_batches import small_detector


def test_the_median_of_each_call_by_the_clock() -> None:
    durations_s = {
        "slow": iter([9.0] * WARM_UP_CALLS + [0.5, 0.1, 0.2]),
        "fast": iter([9.0] * WARM_UP_CALLS + [1e-3] * 3),
    }
    now_s, order = 0.0, []

    def call(name: str) -> None:
        nonlocal now_s
        order.append(name)
        now_s += next(durations_s[name])

    calls = {name: lambda name=name: call(name) for name in durations_s}
    assert median_ms(calls, 3, clock_s=lambda: now_s) == pytest.approx({"slow": 200.0, "fast": 1.0})
    assert order == ["slow", "fast"] * (WARM_UP_CALLS + 3)


def test_the_processor_names_itself(tmp_path: Path) -> None:
    description = tmp_path / "cpuinfo"
    description.write_text("processor\t: 0\nmodel name\t: Fast CPU 3000\nmodel name\t: other\n")
    assert cpu_name(description) == "Fast CPU 3000"
    assert cpu_name(tmp_path / "absent")


@pytest.fixture
def one_image(tmp_path: Path) -> TrainingData:
    Image.new("RGB", (40, 30), "red").save(tmp_path / "a.png")
    split = PreparedSplit(
        images=(PreparedImage(id=7, file_name="a.png", width=40, height=30),),
        categories=(PreparedCategory(id=1, synonyms=("cup",)),),
    )
    bank = TextBank(("cup",), torch.ones(1, 64) / 8, "test", is_normalized=True)
    return TrainingData(split, ImageFolder(tmp_path), Vocabulary(("cup",), (1,)), bank)


def test_every_form_gets_a_time_and_threads_stay_as_they_were(one_image: TrainingData, tmp_path: Path) -> None:
    teacher = to_checkpoint(small_detector().state_dict(), NamedBuilderSpec(name="yolo_world_open_shapes"), None, ())
    (tmp_path / "none.onnx").touch()
    threads = torch.get_num_threads()
    spec = EvaluationSpec(image_size_px=64, latency_calls=1)
    found = measure_latency({"teacher": teacher, "onnx": tmp_path / "none.onnx"}, one_image, spec)
    assert list(found["latency_ms"]) == ["teacher"]
    assert found["latency_ms"]["teacher"] > 0
    assert "1 calls with one image of 64 px and 1 prompts" in found["where"]
    assert "1 thread of " in found["where"]
    assert "ONNX" not in found["where"]
    assert torch.get_num_threads() == threads
