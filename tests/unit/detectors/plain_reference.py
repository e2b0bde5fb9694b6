"""YOLO-World once more, as plain functions over the tensors of an mmyolo file, written from the description alone.

Nothing here imports the package. Shape letters: B images, K prompts, D embedding, C channels, P pixels.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional as fn

State = Mapping[str, Tensor]
BB, HM = "backbone.image_model", "bbox_head.head_module"


def unit(s: State, key: str, x: Tensor, stride: int = 1, is_activated: bool = True) -> Tensor:
    weight = s[f"{key}.conv.weight"]
    x = fn.conv2d(x, weight, None, stride, weight.shape[-1] // 2)
    stats = [s[f"{key}.bn.{leaf}"] for leaf in ("running_mean", "running_var", "weight", "bias")]
    x = fn.batch_norm(x, *stats, eps=1e-3)
    return x * x.sigmoid() if is_activated else x


def gate(s: State, key: str, x: Tensor, text_BKD: Tensor) -> Tensor:
    bias = s[f"{key}.bias"]
    guide = text_BKD @ s[f"{key}.guide_fc.weight"].T + s[f"{key}.guide_fc.bias"]
    projected = unit(s, f"{key}.project_conv", x, is_activated=False)
    width = x.shape[1] // len(bias)
    parts = []
    for head in range(len(bias)):
        channels = slice(head * width, (head + 1) * width)
        scores = torch.einsum("bchw,bkc->bkhw", x[:, channels], guide[:, :, channels]).max(1).values
        parts.append(projected[:, channels] * (scores / math.sqrt(width) + bias[head]).sigmoid()[:, None])
    return torch.cat(parts, 1)


def csp(s: State, key: str, x: Tensor, has_shortcut: bool, text_BKD: Tensor | None = None) -> Tensor:
    x = unit(s, f"{key}.main_conv", x)
    half = x.shape[1] // 2
    maps = [x[:, :half], x[:, half:]]
    block = 0
    while f"{key}.blocks.{block}.conv1.conv.weight" in s:
        y = unit(s, f"{key}.blocks.{block}.conv2", unit(s, f"{key}.blocks.{block}.conv1", maps[-1]))
        maps.append(maps[-1] + y if has_shortcut else y)
        block += 1
    if text_BKD is not None:
        maps.append(gate(s, f"{key}.attn_block", maps[-1], text_BKD))
    return unit(s, f"{key}.final_conv", torch.cat(maps, 1))


def backbone(s: State, x: Tensor) -> list[Tensor]:
    x = unit(s, f"{BB}.stem", x, stride=2)
    outputs = []
    for stage in range(1, 5):
        x = csp(s, f"{BB}.stage{stage}.1", unit(s, f"{BB}.stage{stage}.0", x, stride=2), has_shortcut=True)
        outputs.append(x)
    maps = [unit(s, f"{BB}.stage4.2.conv1", x)]
    for _ in range(3):
        maps.append(fn.max_pool2d(maps[-1], 5, 1, 2))
    return [outputs[1], outputs[2], unit(s, f"{BB}.stage4.2.conv2", torch.cat(maps, 1))]


def enhance(s: State, text_BKD: Tensor, maps: list[Tensor], heads: int) -> Tensor:
    key = "neck.text_enhancer"

    def projected(name: str, x: Tensor) -> Tensor:
        x = fn.layer_norm(x, x.shape[-1:], s[f"{key}.{name}.0.weight"], s[f"{key}.{name}.0.bias"])
        return fn.linear(x, s[f"{key}.{name}.1.weight"], s[f"{key}.{name}.1.bias"])

    tokens = []
    for level, x in enumerate(maps):
        weights = (s[f"{key}.projections.{level}.conv.{leaf}"] for leaf in ("weight", "bias"))
        tokens.append(fn.adaptive_max_pool2d(fn.conv2d(x, *weights), 3).flatten(2).transpose(1, 2))
    z = torch.cat(tokens, 1)
    q, k, v = projected("query", text_BKD), projected("key", z), projected("value", z)
    parts = []
    for part in torch.arange(q.shape[2]).chunk(heads):
        shares = (q[..., part] @ k[..., part].transpose(1, 2) / math.sqrt(len(part))).softmax(-1)
        parts.append(shares @ v[..., part])
    return text_BKD + fn.linear(torch.cat(parts, 2), s[f"{key}.proj.weight"], s[f"{key}.proj.bias"])


def detector(s: State, images: Tensor, text_BKD: Tensor, enhancer_heads: int) -> tuple[Tensor, Tensor]:
    """Class logits (B, N, K) and boxes (B, N, 4)."""
    c3, c4, c5 = backbone(s, images)

    def doubled(x: Tensor) -> Tensor:
        return x.repeat_interleave(2, 2).repeat_interleave(2, 3)

    td_p4 = csp(s, "neck.top_down_layers.0", torch.cat([doubled(c5), c4], 1), False, text_BKD)
    td_p3 = csp(s, "neck.top_down_layers.1", torch.cat([doubled(td_p4), c3], 1), False, text_BKD)
    is_first = "neck.text_enhancer.proj.weight" in s
    late = enhance(s, text_BKD, [td_p3, td_p4, c5], enhancer_heads) if is_first else text_BKD
    down = unit(s, "neck.downsample_layers.0", td_p3, stride=2)
    bu_p4 = csp(s, "neck.bottom_up_layers.0", torch.cat([down, td_p4], 1), False, late)
    down = unit(s, "neck.downsample_layers.1", bu_p4, stride=2)
    bu_p5 = csp(s, "neck.bottom_up_layers.1", torch.cat([down, c5], 1), False, late)
    unit_text = text_BKD / text_BKD.norm(dim=2, keepdim=True)
    logits, boxes = [], []
    for level, (x, stride) in enumerate(zip((td_p3, bu_p4, bu_p5), (8, 16, 32), strict=True)):
        embedding = branch(s, f"{HM}.cls_preds.{level}", x)
        key = f"{HM}.cls_contrasts.{level}"
        if is_first:
            embedding = embedding / embedding.norm(dim=1, keepdim=True)
        else:
            stats = [s[f"{key}.norm.{leaf}"] for leaf in ("running_mean", "running_var", "weight", "bias")]
            embedding = fn.batch_norm(embedding, *stats, eps=1e-3)
        products = torch.einsum("bdhw,bkd->bhwk", embedding, unit_text)
        logits.append((products * s[f"{key}.logit_scale"].exp() + s[f"{key}.bias"]).flatten(1, 2))
        boxes.append(decoded(branch(s, f"{HM}.reg_preds.{level}", x), stride))
    return torch.cat(logits, 1), torch.cat(boxes, 1)


def branch(s: State, key: str, x: Tensor) -> Tensor:
    layer = 0
    while f"{key}.{layer}.bn.weight" in s:
        x = unit(s, f"{key}.{layer}", x)
        layer += 1
    return fn.conv2d(x, s[f"{key}.{layer}.weight"], s[f"{key}.{layer}.bias"])


def decoded(bins: Tensor, stride: int) -> Tensor:
    images, channels, height, width = bins.shape
    shares = bins.reshape(images, 4, channels // 4, height, width).softmax(2)
    sides = (shares * torch.arange(channels // 4).to(bins)[:, None, None]).sum(2) * stride
    rows = []
    for y in range(height):
        for x in range(width):
            left, top, right, bottom = sides[:, :, y, x].unbind(1)
            cx, cy = (x + 0.5) * stride, (y + 0.5) * stride
            rows.append(torch.stack((cx - left, cy - top, cx + right, cy + bottom), 1))
    return torch.stack(rows, 1)
