"""The detector against a second, plain writing of the same description, through the published key layout."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from plain_reference import detector as plain_detector
from torch import Tensor, nn

from crqat_pipeline.detectors import build_detector
from crqat_pipeline.detectors.yolo_world.key_layouts import MMYOLO
from crqat_pipeline.detectors.yolo_world.loading import to_layout


@pytest.mark.parametrize("name", ["yolo_world_open_shapes", "yolo_world_n"])
@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("is_shared", [True, False])
def test_both_agree(
    name: str, version: int, is_shared: bool, enliven: Callable[..., nn.Module], scene: Callable[..., Tensor]
) -> None:
    built = build_detector(name, version=version).double()
    detector = enliven(built, embedding_dim=built.embedding_dim)
    images = scene(2, 96, 160).double()
    text = 4 * torch.randn(2, 6, built.embedding_dim).double()  # far from unit length
    text_BKD = text[:1].expand(2, -1, -1) if is_shared else text
    with torch.no_grad():
        output = detector(images, text[0] if is_shared else text)
        state = to_layout(detector.state_dict(), MMYOLO, version)
        logits, boxes = plain_detector(state, images, text_BKD, enhancer_heads=built.spec.enhancer_heads)
    assert logits.std() > 0.1
    torch.testing.assert_close(output.class_logits_BNK, logits, rtol=0, atol=1e-9)
    torch.testing.assert_close(output.boxes_BN4, boxes, rtol=0, atol=1e-9)
