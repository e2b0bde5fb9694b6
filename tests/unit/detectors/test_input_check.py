"""What a detector refuses, and how it says so."""

from __future__ import annotations

import pytest
import torch
from pydantic import ValidationError

from crqat_pipeline.detectors import build_detector


@pytest.mark.parametrize(
    ("images", "text", "words"),
    [
        ((1, 3, 64, 65), (2, 64), r"multiples of 32 px; got 64 x 65"),
        ((3, 64, 64), (2, 64), r"\(B, 3, H, W\); got \(3, 64, 64\)"),
        ((1, 3, 64, 64), (2, 512), r"\(K, 64\) or \(B, K, 64\) with K >= 1; got \(2, 512\)"),
        ((1, 3, 64, 64), (0, 64), r"K >= 1; got \(0, 64\)"),
        ((2, 3, 64, 64), (3, 5, 64), r"got 3 sets for 2 images"),
    ],
)
def test_shapes_that_do_not_fit(images: tuple[int, ...], text: tuple[int, ...], words: str) -> None:
    with torch.device("meta"):
        detector = build_detector("yolo_world_open_shapes")
        with pytest.raises(ValueError, match=words):
            detector(torch.zeros(images), torch.zeros(text))


def test_options_are_validated() -> None:
    with pytest.raises(ValidationError, match="version"):
        build_detector("yolo_world_s", version=3)
    with pytest.raises(ValidationError, match="do not split into 5 heads"):
        build_detector("yolo_world_open_shapes", gate_heads=(5, 2, 3))
    with pytest.raises(ValidationError, match="depth"):
        build_detector("yolo_world_s", depth=2)


def test_options_change_fields_of_the_row() -> None:
    with torch.device("meta"):
        assert build_detector("yolo_world_open_shapes", embedding_dim=32).embedding_dim == 32
