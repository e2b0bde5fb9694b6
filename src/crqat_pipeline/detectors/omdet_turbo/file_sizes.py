"""The sizes of an OmDet-Turbo, read off the shapes of its tensors and, where these are silent, off config.json."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from crqat_pipeline.detectors.omdet_turbo.spec import STRIDES_PX, OmDetTurboSpec
from crqat_pipeline.detectors.weights import WeightsRefused

SWIN = "vision_backbone.vision_backbone._backbone."
TABLE = "attn.relative_position_bias_table"
CONFIG_NAME = "config.json"


def sizes_of_file(path: Path, tensors: Mapping[str, Tensor]) -> dict[str, Any]:
    """Fields of OmDetTurboSpec, all that a file decides.

    Numbers of heads and queries are in no shape: config.json beside the file says them, else they are the released
    model's. Raises WeightsRefused for tensors that lack, or that do not fit one another.
    """
    config = _config(path.parent)
    defaults = OmDetTurboSpec()
    heads = int(config.get("decoder_num_heads", defaults.num_heads))
    if int(config.get("encoder_attention_heads", heads)) != heads:
        raise WeightsRefused(
            f"{path.name} has {config['encoder_attention_heads']} attention heads in its encoder and {heads} in its "
            "decoder; detectors here have the same number in both."
        )
    try:
        samples = tensors["decoder.layers.0.cross_attn.attention_weights.bias"].shape[0]
        tables = [tensors[f"{SWIN}layers_{stage}.blocks.0.{TABLE}"] for stage in range(4)]
        found: dict[str, Any] = {
            "swin_width": tensors[f"{SWIN}patch_embed.proj.weight"].shape[0],
            "swin_depths": tuple(_count(tensors, rf"{SWIN}layers_{stage}\.blocks\.(\d+)\.") for stage in range(4)),
            "swin_heads": tuple(table.shape[1] for table in tables),
            "window_size": (round(tables[0].shape[0] ** 0.5) + 1) // 2,
            "hidden_dim": tensors["decoder.encoder_class_head.weight"].shape[0],
            "num_heads": heads,
            "feedforward_dim": tensors["decoder.layers.0.linear1.weight"].shape[0],
            "encoder_layers": _count(tensors, r"encoder\.encoder\.0\.layers\.(\d+)\."),
            "decoder_layers": _count(tensors, r"decoder\.layers\.(\d+)\."),
            "num_points": samples // (heads * len(STRIDES_PX)),
            "num_queries": int(config.get("num_queries", defaults.num_queries)),
            "task_hidden_dim": tensors["decoder.task_encoder.mlp.linear1.weight"].shape[0],
            "embedding_dim": tensors["decoder.encoder_class_head.weight"].shape[1],
        }
    except KeyError as error:
        raise WeightsRefused(f"{path.name} (OmDet-Turbo of transformers) lacks {error.args[0]}. It is cut.") from error
    if samples % (heads * len(STRIDES_PX)):
        raise WeightsRefused(
            f"{path.name} samples {samples} points per query, which {heads} heads do not share. Put its {CONFIG_NAME} "
            "into the same folder."
        )
    return found


def _config(folder: Path) -> Mapping[str, Any]:
    path = folder / CONFIG_NAME
    content = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return content if isinstance(content, Mapping) else {}


def _count(names: Iterable[str], pattern: str) -> int:
    """One more than the largest number at the pattern's group."""
    found = [int(match[1]) for name in names if (match := re.match(pattern, name))]
    return max(found, default=-1) + 1
