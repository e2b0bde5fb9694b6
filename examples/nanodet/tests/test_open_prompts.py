"""`crqat detect` on a photograph with words that COCO does not have, answered by the names of LVIS."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from crqat_nanodet.coco_names import COCO_NAMES
from crqat_nanodet.family import nanodet_m

from crqat_pipeline.cli.detect import command
from crqat_pipeline.model_files import DetectorRow, to_checkpoint, write_checkpoint
from crqat_pipeline.model_files.checkpoint_file import TEXT_BANK_TENSOR
from crqat_pipeline.structures.checkpoint import Checkpoint
from crqat_pipeline.text_encoders.precomputed import PrecomputedTextEncoder

DATA = Path(__file__).resolve().parents[4] / "shared" / "data"
TEXT = DATA / "text"
COCO = DATA / "coco_photos" / "annotations" / "instances_val.json"
WORDS = {
    "name": "precomputed",
    "embeddings": str(TEXT / "lvis_v1_clip_vit_b32.npy"),
    "names": str(TEXT / "lvis_v1_categories.json"),
}
PHOTOGRAPHS = DATA / "coco_photos" / "images" / "val2017"
SINK = PHOTOGRAPHS / "000000239627.jpg"
FAUCET_XYXY_PX = (266, 25, 383, 188)
"""Where the faucet is in that photograph, drawn by hand."""
LAMP_OVER_TABLE = PHOTOGRAPHS / "000000221708.jpg"


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The published weights as a model file that knows the 80 names of COCO."""
    weights = DATA / "nanodet_m" / "nanodet_m_416.param"
    if not weights.is_file():
        pytest.skip("no published weights in ../shared/data beside the repository")
    bank = PrecomputedTextEncoder(TEXT / "coco_clip_vit_b32.npy", COCO).encode(COCO_NAMES)
    detector = nanodet_m()
    detector.load_weights(weights, bank)
    facts = {"prompts": list(bank.prompts), "encoder": bank.encoder, "is_normalized": bank.is_normalized}
    made = to_checkpoint(
        detector.state_dict(), DetectorRow.of("nanodet_m", {}), None, (), image_size_px=416, text_bank=facts
    )
    path = tmp_path_factory.mktemp("model") / "teacher.safetensors"
    write_checkpoint(path, Checkpoint({**made.tensors, TEXT_BANK_TENSOR: bank.embeddings_KD}, made.metadata))
    return path


def detect(model: Path, photograph: Path, prompts: str) -> Result:
    arguments = ["--prompts", prompts, "--text-encoder", json.dumps(WORDS), "--threshold", "0.02", "--json"]
    return CliRunner().invoke(command, [str(model), str(photograph), *arguments])


def best(result: Result, prompt: str) -> dict[str, Any]:
    """The best detection of a prompt."""
    assert result.exit_code == 0, result.output
    (image,) = json.loads(result.stdout)["images"]
    rows: list[dict[str, Any]] = [row for row in image["detections"] if row["prompt"] == prompt]
    return max(rows, key=lambda row: float(row["score"]))


def test_a_word_near_a_name_of_coco_is_answered(teacher: Path) -> None:
    found = best(detect(teacher, SINK, "faucet,lampshade"), "faucet")
    assert 0.1 < found["score"] < 0.3
    left, top, right, bottom = found["box_xyxy_px"]
    x0, y0, x1, y1 = FAUCET_XYXY_PX
    common = max(0, min(right, x1) - max(left, x0)) * max(0, min(bottom, y1) - max(top, y0))
    assert common / ((right - left) * (bottom - top) + (x1 - x0) * (y1 - y0) - common) > 0.5


def test_a_word_far_from_all_names_is_not(teacher: Path) -> None:
    assert best(detect(teacher, LAMP_OVER_TABLE, "lampshade"), "lampshade")["score"] < 0.1


def test_a_word_without_an_embedding_is_told_with_the_nearest_ones(teacher: Path) -> None:
    result = detect(teacher, SINK, "lamp shade,fauset,sink")
    assert result.exit_code != 0
    assert "no embedding for 2 of 2 prompts" in result.output
    assert "'fauset' (nearest: 'faucet'" in result.output
    assert "'lamp shade' (nearest: 'lampshade'" in result.output
