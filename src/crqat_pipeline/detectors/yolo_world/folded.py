"""The modules of a detector whose vocabulary is part of its weights.

Shape letters: B images, M heads, C channels of a head, K prompts, D embedding, H W pixels, P = H * W.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional

from crqat_pipeline.detectors.yolo_world.blocks import ConvUnit
from crqat_pipeline.detectors.yolo_world.detector import YoloWorld
from crqat_pipeline.structures.output import Detections, DetectorOutput


class FoldedGate(nn.Module):
    """Max-sigmoid gate whose guides are the weights of a grouped 1x1 convolution to M x K channels."""

    def __init__(self, products: nn.Conv2d, head_bias: nn.Parameter, project: ConvUnit) -> None:
        super().__init__()
        self.products = products
        self.head_bias = head_bias
        self.project = project

    def forward(self, map_BCHW: Tensor, text_XKD: Tensor) -> Tensor:
        """The text is part of the weights; the argument keeps the place of the unfolded gate's."""
        heads = (self.head_bias.shape[0], -1)
        products_BMKP = torch.unflatten(self.products(map_BCHW).flatten(2), 1, heads)
        gate_BM1P = (products_BMKP.amax(dim=2) + self.head_bias[:, None]).sigmoid().unsqueeze(2)
        projected_BMCP = torch.unflatten(self.project(map_BCHW).flatten(2), 1, heads)
        gated_BMCP: Tensor = projected_BMCP * gate_BM1P
        return gated_BMCP.flatten(1, 2).reshape(map_BCHW.shape)


class FoldedContrast(nn.Module):
    """A 1x1 convolution from embeddings to logits; version 1 first divides embeddings by their length."""

    def __init__(self, similarity: nn.Conv2d, is_l2_normed: bool) -> None:
        super().__init__()
        self.similarity = similarity
        self.is_l2_normed = is_l2_normed

    def forward(self, embedding_BDHW: Tensor, text_XKD: Tensor) -> Tensor:
        """(B, P, K) logits."""
        if self.is_l2_normed:
            embedding_BDHW = functional.normalize(embedding_BDHW, dim=1)
        logits_BKP: Tensor = self.similarity(embedding_BDHW).flatten(2)
        return logits_BKP.transpose(1, 2)


class FixedVocabularyDetector(nn.Module):
    """Images in, DetectorOutput out; the K prompts are part of the weights."""

    text_KD: Tensor

    def __init__(self, detector: YoloWorld, text_KD: Tensor, keeps_embeddings: bool) -> None:
        super().__init__()
        self.detector = detector
        self.keeps_embeddings = keeps_embeddings
        self.register_buffer("text_KD", text_KD.detach().clone())

    def forward(self, images_B3HW: Tensor) -> DetectorOutput:
        output: DetectorOutput = self.detector(images_B3HW, self.text_KD)
        if self.keeps_embeddings:
            return output
        return replace(output, region_embeddings_BND=output.region_embeddings_BND[:, :, :0])

    def detect(self, output: DetectorOutput, *, score_threshold: float, max_detections: int) -> list[Detections]:
        """As the detector's own `detect`."""
        return self.detector.detect(output, score_threshold=score_threshold, max_detections=max_detections)
