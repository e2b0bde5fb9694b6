"""What `crqat weights` says of the published files, without a run and its text bank.

Each class name then stands for an axis of its own (text of 80 numbers): the closed vocabulary, exactly.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from crqat_nanodet.coco_names import COCO_NAMES
from crqat_nanodet.detector import NanoDet, NanoDetSpec
from crqat_nanodet.loading import read_ncnn
from crqat_pipeline.detectors.weights import WeightsRefused


@dataclass(frozen=True)
class NanoDetFile:
    """A published file understood. text_embeddings_KD: one axis per class."""

    path: Path
    tensors: Mapping[str, Tensor]
    detector_name: str = "nanodet_m"
    prompts: tuple[str, ...] = COCO_NAMES
    text_encoder: None = None

    @property
    def detector_options(self) -> Mapping[str, Any]:
        return {"embedding_dim": len(self.prompts)}

    @property
    def source(self) -> str:
        return self.path.name

    @property
    def text_embeddings_KD(self) -> Tensor:  # noqa: N802 - shape letters
        return torch.eye(len(self.prompts))

    def __str__(self) -> str:
        numbers = sum(tensor.numel() for tensor in self.tensors.values())
        return (
            f"{self.path}: NanoDet-m 416 of ncnn, {len(self.prompts)} COCO classes\n"
            f"  loaded    {len(self.tensors)} tensors\n"
            f"  container ncnn .param and .bin\n"
            f"  weights   {numbers:,}\n"
            f"  prompts   {len(self.prompts)}: {', '.join(self.prompts[:5])}, … (an axis each; a run with "
            "teacher.weights expresses them in its own text space)"
        )


def read_file(source: str | Path) -> NanoDetFile:
    """Raises WeightsRefused for what is no published NanoDet-m."""
    path = Path(source)
    if not path.is_file():
        raise WeightsRefused(f"NanoDet reads files of this machine, and {source} is none. Give the .param file.")
    with torch.device("meta"):
        network = NanoDet(NanoDetSpec(embedding_dim=len(COCO_NAMES)))
    return NanoDetFile(path, read_ncnn(path, torch.eye(len(COCO_NAMES)), network))
