"""The class weights of a closed vocabulary, expressed exactly in the space of its class names' embeddings.

Shape letters: K classes, D embedding, A anchors of a cell, C channels, h w of the kernel.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from crqat_pipeline.detectors.weights import WeightsRefused
from crqat_pipeline.structures.vocabulary import TextBank

LARGEST_RESIDUAL = 1e-3


def as_region_embeddings(
    weight_EChw: Tensor, bias_E: Tensor, text_bank: TextBank, num_anchors: int, name: str
) -> tuple[Tensor, Tensor]:
    """Weight (A * D, C, h, w) and bias (A * D,) of a layer whose regions score as the classes did.

    weight_EChw and bias_E have A * K rows, anchor by anchor; prompt k of the bank is class k. With unit texts T (K, D),
    the layer is the pseudo-inverse of T times the classes' rows: T times it gives them back wherever the rows of T
    are independent. `name`: of the file, for messages. Raises WeightsRefused where they are not, or counts differ.
    """
    num_classes = len(text_bank.prompts)
    if weight_EChw.shape[0] != num_anchors * num_classes:
        raise WeightsRefused(
            f"{name} has {weight_EChw.shape[0]} class scores per cell; {num_anchors} anchors times {num_classes} "
            "prompts are expected. Give a text bank of exactly the file's classes, in their order."
        )
    text_KD = functional.normalize(text_bank.embeddings_KD.double(), dim=1)
    inverse_DK = torch.linalg.pinv(text_KD)
    rows_EX = torch.cat((weight_EChw.double().flatten(1), bias_E.double().unsqueeze(1)), dim=1)
    rows_AKX = torch.unflatten(rows_EX, 0, (num_anchors, num_classes))
    found_ADX = inverse_DK @ rows_AKX
    residual = float((text_KD @ found_ADX - rows_AKX).norm() / rows_AKX.norm().clamp(min=1e-12))
    if residual > LARGEST_RESIDUAL:
        raise WeightsRefused(
            f"The class weights of {name} cannot be expressed by these prompts: embeddings of {num_classes} prompts "
            f"are not independent in {text_KD.shape[1]} dimensions (relative residual {residual:.2g}). Use longer "
            "embeddings or other names."
        )
    found_EX = found_ADX.flatten(0, 1).to(weight_EChw.dtype)
    return torch.unflatten(found_EX[:, :-1], 1, weight_EChw.shape[1:]), found_EX[:, -1]
