"""How the two published formats and this project name the same tensors.

A layout is a table from this project's block prefixes to its own, plus patterns for the names inside a block. No
tensor is transposed or permuted; only the contrast bias is [1] instead of [] in Ultralytics files.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

_IMAGE_MODEL = "backbone.image_model"
_HEAD_MODULE = "bbox_head.head_module"


@dataclass(frozen=True)
class KeyLayout:
    """blocks: (this project's prefix, prefix of version 1, prefix of version 2); leaves: (pattern, replacement)."""

    name: str
    stem_key: str
    blocks: tuple[tuple[str, str, str], ...]
    leaves: tuple[tuple[str, str], ...]
    bias_shape: tuple[int, ...]

    def foreign_key(self, key: str, version: int) -> str:
        """This project's key -> the layout's key."""
        for block, *prefixes in self.blocks:
            if key.startswith(f"{block}."):
                rest = key[len(block) + 1 :]
                for pattern, replacement in self.leaves:
                    rest = re.sub(pattern, replacement, rest)
                return f"{prefixes[version - 1]}.{rest}"
        raise KeyError(key)

    def owns(self, key: str, version: int) -> bool:
        """Whether a key of this layout lies inside one of the image detector's blocks."""
        return any(key.startswith(f"{prefixes[version - 1]}.") for _, *prefixes in self.blocks)


def _same(own: str, foreign: str) -> tuple[str, str, str]:
    return own, foreign, foreign


MMYOLO = KeyLayout(
    name="mmyolo",
    stem_key=f"{_IMAGE_MODEL}.stem.conv.weight",
    blocks=(
        _same("backbone.stem", f"{_IMAGE_MODEL}.stem"),
        *(_same(f"backbone.stage{s}.down", f"{_IMAGE_MODEL}.stage{s}.0") for s in range(1, 5)),
        *(_same(f"backbone.stage{s}.csp", f"{_IMAGE_MODEL}.stage{s}.1") for s in range(1, 5)),
        _same("backbone.pooling.entry", f"{_IMAGE_MODEL}.stage4.2.conv1"),
        _same("backbone.pooling.exit", f"{_IMAGE_MODEL}.stage4.2.conv2"),
        _same("neck.td_p4", "neck.top_down_layers.0"),
        _same("neck.td_p3", "neck.top_down_layers.1"),
        _same("neck.text_enhancer", "neck.text_enhancer"),
        _same("neck.down_3", "neck.downsample_layers.0"),
        _same("neck.bu_p4", "neck.bottom_up_layers.0"),
        _same("neck.down_4", "neck.downsample_layers.1"),
        _same("neck.bu_p5", "neck.bottom_up_layers.1"),
        _same("head.box_branches", f"{_HEAD_MODULE}.reg_preds"),
        _same("head.embedding_branches", f"{_HEAD_MODULE}.cls_preds"),
        _same("head.contrasts", f"{_HEAD_MODULE}.cls_contrasts"),
    ),
    leaves=(
        (r"^entry\.", "main_conv."),
        (r"^exit\.", "final_conv."),
        (r"^bottlenecks\.(\d+)\.first\.", r"blocks.\1.conv1."),
        (r"^bottlenecks\.(\d+)\.second\.", r"blocks.\1.conv2."),
        (r"^gate\.guide\.", "attn_block.guide_fc."),
        (r"^gate\.head_bias$", "attn_block.bias"),
        (r"^gate\.project\.", "attn_block.project_conv."),
        (r"^projections\.(\d+)\.", r"projections.\1.conv."),
    ),
    bias_shape=(),
)

ULTRALYTICS = KeyLayout(
    name="ultralytics",
    stem_key="model.0.conv.weight",
    blocks=(
        _same("backbone.stem", "model.0"),
        *(_same(f"backbone.stage{s}.down", f"model.{2 * s - 1}") for s in range(1, 5)),
        *(_same(f"backbone.stage{s}.csp", f"model.{2 * s}") for s in range(1, 5)),
        _same("backbone.pooling.entry", "model.9.cv1"),
        _same("backbone.pooling.exit", "model.9.cv2"),
        _same("neck.td_p4", "model.12"),
        _same("neck.td_p3", "model.15"),
        ("neck.text_enhancer", "model.16", "model.text_enhancer_of_version_1"),
        ("neck.down_3", "model.17", "model.16"),
        ("neck.bu_p4", "model.19", "model.18"),
        ("neck.down_4", "model.20", "model.19"),
        ("neck.bu_p5", "model.22", "model.21"),
        ("head.box_branches", "model.23.cv2", "model.22.cv2"),
        ("head.embedding_branches", "model.23.cv3", "model.22.cv3"),
        ("head.contrasts", "model.23.cv4", "model.22.cv4"),
    ),
    leaves=(
        (r"^entry\.", "cv1."),
        (r"^exit\.", "cv2."),
        (r"^bottlenecks\.(\d+)\.first\.", r"m.\1.cv1."),
        (r"^bottlenecks\.(\d+)\.second\.", r"m.\1.cv2."),
        (r"^gate\.guide\.", "attn.gl."),
        (r"^gate\.head_bias$", "attn.bias"),
        (r"^gate\.project\.", "attn.proj_conv."),
    ),
    bias_shape=(1,),
)

OWN = KeyLayout(
    name="crqat",
    stem_key="backbone.stem.conv.weight",
    blocks=tuple(_same(part, part) for part in ("backbone", "neck", "head")),
    leaves=(),
    bias_shape=(),
)

KEY_LAYOUTS: Mapping[str, KeyLayout] = MappingProxyType({layout.name: layout for layout in (MMYOLO, ULTRALYTICS, OWN)})
