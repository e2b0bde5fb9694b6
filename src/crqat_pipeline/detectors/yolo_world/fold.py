"""Folding for deployment: BatchNorm into convolutions, and a fixed vocabulary into gates and head.

Shape letters: B images, M heads, C channels of a head, K prompts, D embedding, E width of the embedding branch,
H W pixels, P = H * W.
"""

from __future__ import annotations

import copy
import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from crqat_pipeline.detectors.yolo_world.blocks import ConvUnit
from crqat_pipeline.detectors.yolo_world.contrast import Contrast
from crqat_pipeline.detectors.yolo_world.detector import YoloWorld
from crqat_pipeline.detectors.yolo_world.folded import FixedVocabularyDetector, FoldedContrast, FoldedGate
from crqat_pipeline.detectors.yolo_world.gate import MaxSigmoidGate
from crqat_pipeline.detectors.yolo_world.input_check import check_text


@torch.no_grad()
def fold_batch_norm(detector: YoloWorld) -> YoloWorld:
    """A copy in eval mode whose convolution units have a bias instead of BatchNorm; text stays an input.

    The BatchNorm of version 2's contrast stays: it acts on embeddings that are an output themselves.
    Raises ValueError for a unit whose layers were swapped (a detector prepared for quantization).
    """
    folded = copy.deepcopy(detector).eval()
    for name, unit in folded.named_modules():
        if isinstance(unit, ConvUnit):
            if type(unit.conv) is not nn.Conv2d or type(unit.bn) is not nn.BatchNorm2d:
                raise ValueError(
                    f"{name} holds {type(unit.conv).__name__} and {type(unit.bn).__name__}; only Conv2d with "
                    "BatchNorm2d folds. Fold the full-precision detector, or use the exporter of quantized ones."
                )
            unit.conv = _folded_unit(unit.conv, unit.bn)
            unit.bn = nn.Identity()  # type: ignore[assignment]
    return folded


@torch.no_grad()
def fold_vocabulary(detector: YoloWorld, text_KD: Tensor, *, keeps_embeddings: bool = True) -> FixedVocabularyDetector:
    """A copy in eval mode that answers for the prompts of `text_KD` and takes images only.

    Version 2: all gates become grouped 1x1 convolutions to M x K channels, each contrast a 1x1 convolution to K.
    Version 1: only the two top-down gates and the text side of the contrast fold, because the bottom-up gates read
    text that depends on the image and the region embedding is divided by its length.
    keeps_embeddings=False (version 2) merges the contrast with the 1x1 convolution before it: fewer products, but
    region_embeddings_BND then has D = 0. Raises ValueError for text that does not fit, and for version 1 with
    keeps_embeddings=False.
    """
    check_text(text_KD, detector.embedding_dim)
    if text_KD.ndim != 2:
        raise ValueError(f"One vocabulary (K, D) is folded for all images; got {tuple(text_KD.shape)}.")
    if detector.spec.version == 1 and not keeps_embeddings:
        raise ValueError("Version 1 divides embeddings by their length; they cannot be merged away. Keep them.")
    folded = copy.deepcopy(detector).eval()
    neck, head = folded.neck, folded.head
    for block in (neck.td_p4, neck.td_p3, *((neck.bu_p4, neck.bu_p5) if detector.spec.version == 2 else ())):
        block.gate = _fold_gate(block.gate, text_KD)  # type: ignore[assignment]
    for level, contrast in enumerate(head.contrasts):
        assert isinstance(contrast, Contrast)
        similarity = _fold_contrast(contrast, text_KD)
        branch = head.embedding_branches[level]
        assert isinstance(branch, nn.Sequential)
        if keeps_embeddings:
            head.contrasts[level] = FoldedContrast(similarity, is_l2_normed=contrast.norm is None)
        else:
            branch[-1], head.contrasts[level] = nn.Identity(), FoldedContrast(_merged(branch[-1], similarity), False)
    return FixedVocabularyDetector(folded, text_KD, keeps_embeddings)


def _gain_and_shift(norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """y = gain x + shift in double precision; the gain may be negative."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    gain = norm.weight.double() / torch.sqrt(norm.running_var.double() + norm.eps)
    return gain, norm.bias.double() - norm.running_mean.double() * gain


def _folded_unit(conv: nn.Conv2d, norm: nn.BatchNorm2d) -> nn.Conv2d:
    """The convolution with the gain in its weights and the shift as its bias."""
    gain, shift = _gain_and_shift(norm)
    made = copy.deepcopy(conv)
    made.weight.copy_(conv.weight.double() * gain[:, None, None, None])
    made.bias = nn.Parameter(shift.to(conv.weight.dtype))
    return made


def _pointwise(weight_OC: Tensor, bias_O: Tensor | None, like: Tensor, groups: int = 1) -> nn.Conv2d:
    """A 1x1 convolution with these weights, on the device and in the dtype of `like`."""
    out_channels, in_channels = weight_OC.shape
    made = nn.Conv2d(in_channels * groups, out_channels, 1, groups=groups, bias=bias_O is not None)
    made = made.to(like.device, like.dtype)
    made.weight.copy_(weight_OC[:, :, None, None])
    if made.bias is not None and bias_O is not None:
        made.bias.copy_(bias_O)
    return made


def _fold_gate(gate: MaxSigmoidGate, text_KD: Tensor) -> FoldedGate:
    guide = gate.guide
    bias = guide.bias.double()
    guide_KMC = torch.unflatten(text_KD.double() @ guide.weight.double().T + bias, 1, (gate.num_heads, -1))
    weight = guide_KMC.transpose(0, 1).flatten(0, 1) / math.sqrt(guide_KMC.shape[2])
    products = _pointwise(weight, None, guide.weight, groups=gate.num_heads)
    return FoldedGate(products, gate.head_bias, gate.project)


def _fold_contrast(contrast: Contrast, text_KD: Tensor) -> nn.Conv2d:
    """The 1x1 convolution D -> K that compares (normed, for version 1) embeddings with the vocabulary."""
    weight_KD = contrast.logit_scale.double().exp() * functional.normalize(text_KD.double(), dim=1)
    bias_K = contrast.bias.double().expand(weight_KD.shape[0])
    if contrast.norm is not None:
        gain_D, shift_D = _gain_and_shift(contrast.norm)
        bias_K = bias_K + weight_KD @ shift_D
        weight_KD = weight_KD * gain_D
    return _pointwise(weight_KD, bias_K, contrast.bias)


def _merged(first: nn.Module, second: nn.Conv2d) -> nn.Conv2d:
    """Two 1x1 convolutions in a row as one: E -> D -> K becomes E -> K."""
    assert isinstance(first, nn.Conv2d)
    assert first.bias is not None
    assert second.bias is not None
    outer_KD = second.weight.double().flatten(1)
    weight_KE = outer_KD @ first.weight.double().flatten(1)
    return _pointwise(weight_KE, outer_KD @ first.bias.double() + second.bias.double(), second.weight)
