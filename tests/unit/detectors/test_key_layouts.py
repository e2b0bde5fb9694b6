"""The key table of the two published formats, spot-checked by hand and complete by construction."""

from __future__ import annotations

import pytest
import torch

from crqat_pipeline.detectors import build_detector
from crqat_pipeline.detectors.yolo_world.key_layouts import KEY_LAYOUTS, MMYOLO, ULTRALYTICS
from crqat_pipeline.detectors.yolo_world.loading import to_layout

BB, HM = "backbone.image_model", "bbox_head.head_module"
TABLE = [  # ours, mmyolo, Ultralytics v1, Ultralytics v2
    ("backbone.stem.bn.running_var", f"{BB}.stem.bn.running_var", "model.0.bn.running_var", "model.0.bn.running_var"),
    ("backbone.stage3.down.conv.weight", f"{BB}.stage3.0.conv.weight", *2 * ("model.5.conv.weight",)),
    (
        "backbone.stage4.csp.entry.conv.weight",
        f"{BB}.stage4.1.main_conv.conv.weight",
        *2 * ("model.8.cv1.conv.weight",),
    ),
    (
        "backbone.stage2.csp.bottlenecks.1.second.bn.bias",
        f"{BB}.stage2.1.blocks.1.conv2.bn.bias",
        *2 * ("model.4.m.1.cv2.bn.bias",),
    ),
    ("backbone.pooling.exit.conv.weight", f"{BB}.stage4.2.conv2.conv.weight", *2 * ("model.9.cv2.conv.weight",)),
    ("neck.td_p4.gate.guide.bias", "neck.top_down_layers.0.attn_block.guide_fc.bias", *2 * ("model.12.attn.gl.bias",)),
    ("neck.td_p3.gate.head_bias", "neck.top_down_layers.1.attn_block.bias", *2 * ("model.15.attn.bias",)),
    ("neck.down_3.conv.weight", "neck.downsample_layers.0.conv.weight", "model.17.conv.weight", "model.16.conv.weight"),
    (
        "neck.bu_p4.gate.project.bn.weight",
        "neck.bottom_up_layers.0.attn_block.project_conv.bn.weight",
        "model.19.attn.proj_conv.bn.weight",
        "model.18.attn.proj_conv.bn.weight",
    ),
    ("neck.down_4.bn.bias", "neck.downsample_layers.1.bn.bias", "model.20.bn.bias", "model.19.bn.bias"),
    (
        "neck.bu_p5.exit.conv.weight",
        "neck.bottom_up_layers.1.final_conv.conv.weight",
        "model.22.cv2.conv.weight",
        "model.21.cv2.conv.weight",
    ),
    ("head.box_branches.0.2.bias", f"{HM}.reg_preds.0.2.bias", "model.23.cv2.0.2.bias", "model.22.cv2.0.2.bias"),
    (
        "head.embedding_branches.2.1.conv.weight",
        f"{HM}.cls_preds.2.1.conv.weight",
        "model.23.cv3.2.1.conv.weight",
        "model.22.cv3.2.1.conv.weight",
    ),
    (
        "head.contrasts.1.logit_scale",
        f"{HM}.cls_contrasts.1.logit_scale",
        "model.23.cv4.1.logit_scale",
        "model.22.cv4.1.logit_scale",
    ),
]


@pytest.mark.parametrize(("ours", "mmyolo", "first", "second"), TABLE, ids=[row[0] for row in TABLE])
def test_the_published_names(ours: str, mmyolo: str, first: str, second: str) -> None:
    assert MMYOLO.foreign_key(ours, 1) == MMYOLO.foreign_key(ours, 2) == mmyolo
    assert (ULTRALYTICS.foreign_key(ours, 1), ULTRALYTICS.foreign_key(ours, 2)) == (first, second)


def test_names_that_exist_in_one_version_only() -> None:
    assert (
        MMYOLO.foreign_key("neck.text_enhancer.projections.2.bias", 1) == "neck.text_enhancer.projections.2.conv.bias"
    )
    assert ULTRALYTICS.foreign_key("neck.text_enhancer.projections.2.bias", 1) == "model.16.projections.2.bias"
    assert ULTRALYTICS.foreign_key("neck.text_enhancer.value.1.weight", 1) == "model.16.value.1.weight"
    assert ULTRALYTICS.foreign_key("head.contrasts.0.norm.running_mean", 2) == "model.22.cv4.0.norm.running_mean"


@pytest.mark.parametrize("layout", KEY_LAYOUTS)
@pytest.mark.parametrize("version", [1, 2])
def test_every_tensor_has_its_own_name_in_every_layout(layout: str, version: int) -> None:
    with torch.device("meta"):
        state = build_detector("yolo_world_l", version=version).state_dict()
    renamed = to_layout(state, KEY_LAYOUTS[layout], version)
    assert len(renamed) == len(state)
    assert all(KEY_LAYOUTS[layout].owns(key, version) for key in renamed)
