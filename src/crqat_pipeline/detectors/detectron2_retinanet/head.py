"""RetinaNet's head with a text classifier: a region embedding per anchor instead of a score per class.

Shape letters: B images, X images or 1 (shared text), K prompts, D embedding, C channels, H W cells, A anchors of a
cell, N regions of all levels (finest level first, row-major inside a level, then the anchors of a cell).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from detectron2.layers import ShapeSpec
from detectron2.modeling.meta_arch.retinanet import RetinaNetHead
from torch import Tensor, nn
from torch.nn import functional

from crqat_pipeline.detectors.common.similarity import RegionTextSimilarity
from crqat_pipeline.detectors.detectron2_retinanet.spec import RetinaNetSpec


class TextHead(nn.Module):
    """logit = exp(logit_scale) * <region, text / ||text||> + bias.

    The region is not normalized: so the classifier is linear in it, and one of a closed vocabulary can be expressed
    in the space of its class names' embeddings (class_weights.py). One head serves all levels, as in RetinaNet.
    """

    def __init__(self, spec: RetinaNetSpec) -> None:
        super().__init__()
        layers = RetinaNetHead(
            input_shape=[ShapeSpec(channels=spec.pyramid_channels)] * len(spec.strides_px),
            num_classes=spec.embedding_dim,
            num_anchors=spec.anchors_per_cell,
            conv_dims=[spec.pyramid_channels] * spec.head_convs,
        )
        self.cls_subnet, self.bbox_subnet = layers.cls_subnet, layers.bbox_subnet
        self.cls_score, self.bbox_pred = layers.cls_score, layers.bbox_pred
        nn.init.zeros_(self.cls_score.bias)
        for layer in (*self.cls_subnet, *self.bbox_subnet):
            if isinstance(layer, nn.Conv2d):  # maps of narrow heads fade to 0 with RetinaNet's 0.01
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
        self.embedding_dim = spec.embedding_dim
        self.logit_scale = nn.Parameter(torch.zeros(()))
        self.bias = nn.Parameter(torch.tensor(-math.log(1 / spec.prior_probability - 1)))
        self.similarity = RegionTextSimilarity()

    def forward(self, maps: Sequence[Tensor], text_XKD: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Logits (B, N, K), region embeddings (B, N, D), box deltas (B, N, 4)."""
        embeddings = [_per_anchor(self.cls_score(self.cls_subnet(one)), self.embedding_dim) for one in maps]
        deltas = [_per_anchor(self.bbox_pred(self.bbox_subnet(one)), 4) for one in maps]
        regions_BND = torch.cat(embeddings, dim=1)
        scaled_text_XKD = functional.normalize(text_XKD, dim=2) * self.logit_scale.exp()
        logits_BNK = self.similarity(regions_BND.transpose(1, 2), scaled_text_XKD) + self.bias
        return logits_BNK, regions_BND, torch.cat(deltas, dim=1)


def _per_anchor(map_BCHW: Tensor, length: int) -> Tensor:
    """(B, A * length, H, W) to (B, H * W * A, length)."""
    split_BALHW = torch.unflatten(map_BCHW, 1, (-1, length))
    return split_BALHW.permute(0, 3, 4, 1, 2).flatten(1, 3)
