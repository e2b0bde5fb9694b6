"""The sizes of a RetinaNet of detectron2, read off the shapes of its tensors."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from crqat_pipeline.detectors.detectron2_retinanet.spec import BLOCKS, RetinaNetSpec
from crqat_pipeline.detectors.weights import WeightsRefused

RESNET = "backbone.bottom_up."


def check_is_retinanet(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Raises WeightsRefused for a file that is no whole RetinaNet of detectron2."""
    absent = [key for key in (f"{RESNET}stem.conv1.weight", "head.bbox_pred.weight") if key not in tensors]
    if absent:
        raise WeightsRefused(
            f"{path.name} is no RetinaNet of detectron2: it has no {absent[0]}. Give a RetinaNet of its model zoo or "
            "training; a ResNet alone is read as teacher.weights."
        )


def sizes_of_file(path: Path, tensors: Mapping[str, Tensor]) -> dict[str, Any]:
    """Fields of RetinaNetSpec, all that a file decides; embedding_dim is the number of its classes.

    Raises WeightsRefused for anchors that are not the zoo's (their shapes are in no tensor), and for a cut file.
    """
    has_bottlenecks = f"{RESNET}res2.0.conv3.weight" in tensors
    blocks = tuple(_count(tensors, rf"{RESNET}res{stage}\.(\d+)\.") for stage in range(2, 6))
    known = [depth for depth, row in BLOCKS.items() if row == blocks and (depth >= 50) == has_bottlenecks]
    try:
        anchors = tensors["head.bbox_pred.weight"].shape[0] // 4
        found: dict[str, Any] = {
            "depth": known[0] if known else 50 if has_bottlenecks else 18,
            "blocks": None if known else blocks,
            "stem_channels": tensors[f"{RESNET}stem.conv1.weight"].shape[0],
            "res2_channels": tensors[f"{RESNET}res2.0.conv{3 if has_bottlenecks else 2}.weight"].shape[0],
            "pyramid_channels": tensors["backbone.fpn_lateral3.weight"].shape[0],
            "has_p6_p7": "backbone.top_block.p6.weight" in tensors,
            "head_convs": _count(tensors, r"head\.cls_subnet\.(\d+)\.weight") // 2 + 1,
            "embedding_dim": tensors["head.cls_score.weight"].shape[0] // anchors,
        }
        if has_bottlenecks:
            found["bottleneck_channels"] = tensors[f"{RESNET}res2.0.conv1.weight"].shape[0]
    except KeyError as error:
        raise WeightsRefused(f"{path.name} (RetinaNet of detectron2) lacks {error.args[0]}. It is cut.") from error
    if anchors != RetinaNetSpec().anchors_per_cell:
        raise WeightsRefused(
            f"{path.name} has {anchors} anchors per cell; those of the model zoo have "
            f"{RetinaNetSpec().anchors_per_cell}, and a file does not say the shapes of others. Name them in "
            "detector.options and give the file as teacher.weights."
        )
    pixels = {"pixel_mean": tensors.get("pixel_mean"), "pixel_std": tensors.get("pixel_std")}
    return found | {name: tuple(value.flatten().tolist()) for name, value in pixels.items() if value is not None}


def _count(tensors: Mapping[str, Tensor], pattern: str) -> int:
    """One more than the largest number at the pattern's group."""
    found = [int(match[1]) for name in tensors if (match := re.match(pattern, name))]
    return max(found, default=-1) + 1
