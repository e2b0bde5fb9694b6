"""Parameter counts of the published detectors, to the last unit (YOLO-World fact sheet, section 2)."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from crqat_pipeline.detectors.yolo_world.detector import YoloWorld
from crqat_pipeline.detectors.yolo_world.sizes import spec_of

# size: backbone, neck v1, text enhancer, neck v2, head v1, head v2, total v1, total v2
PUBLISHED = {
    "n": (1_272_656, 1_928_809, 512_000, 1_416_809, 1_002_630, 1_005_702, 4_204_095, 3_695_167),
    "s": (5_079_712, 5_989_586, 626_688, 5_362_898, 2_314_182, 2_317_254, 13_383_480, 12_759_864),
    "m": (11_855_856, 13_137_304, 692_224, 12_445_080, 4_072_134, 4_075_206, 29_065_294, 28_376_142),
    "l": (19_808_576, 21_767_836, 724_992, 21_042_844, 5_977_542, 5_980_614, 47_553_954, 46_832_034),
    "x": (30_943_120, 33_536_067, 806_912, 32_729_155, 9_211_014, 9_214_086, 73_690_201, 72_886_361),
}
BOX_BRANCHES = {"n": 381_888, "s": 639_936, "m": 787_392, "l": 861_120, "x": 1_341_312}
STATE_ENTRIES = {"n": (416, 411), "s": (416, 411), "m": (536, 531), "l": (656, 651), "x": (656, 651)}


def _count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize("size", PUBLISHED)
def test_counts_equal_the_published_ones(size: str) -> None:
    backbone, neck_1, enhancer, neck_2, head_1, head_2, total_1, total_2 = PUBLISHED[size]
    with torch.device("meta"):
        first = YoloWorld(spec_of(f"yolo_world_{size}", version=1))
        second = YoloWorld(spec_of(f"yolo_world_{size}", version=2))
    assert _count(first.backbone) == _count(second.backbone) == backbone
    assert (_count(first.neck), _count(first.head), _count(first)) == (neck_1, head_1, total_1)
    assert (_count(second.neck), _count(second.head), _count(second)) == (neck_2, head_2, total_2)
    assert first.neck.text_enhancer is not None
    assert _count(first.neck.text_enhancer) == enhancer
    assert second.neck.text_enhancer is None
    assert _count(second.head.box_branches) == BOX_BRANCHES[size]
    assert (len(first.state_dict()), len(second.state_dict())) == STATE_ENTRIES[size]


def test_the_small_detector_comes_from_the_same_code() -> None:
    with torch.device("meta"):
        assert _count(YoloWorld(spec_of("yolo_world_open_shapes_2", version=2))) == 676_187
        assert _count(YoloWorld(spec_of("yolo_world_open_shapes", version=2))) == 678_167


@pytest.mark.parametrize(
    ("size", "heads", "box_width", "embedding_width"),
    [("n", (1, 2, 4), 64, 80), ("s", (2, 4, 8), 64, 128), ("m", (3, 6, 9), 64, 192), ("x", (5, 10, 10), 80, 320)],
)
def test_scaling_rule(size: str, heads: tuple[int, ...], box_width: int, embedding_width: int) -> None:
    spec = spec_of(f"yolo_world_{size}")
    assert (spec.gate_heads, spec.box_width, spec.embedding_width) == (heads, box_width, embedding_width)
    assert all(width // 2 // number == 32 for width, number in zip(spec.stage_channels[1:], heads, strict=True))
