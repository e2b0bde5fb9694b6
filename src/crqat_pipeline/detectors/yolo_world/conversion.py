"""Describe a weight file of unknown origin, and rewrite it in this project's own format."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from crqat_pipeline.detectors.weights import LoadReport, WeightFile, WeightsRefused, local_file, read_weights
from crqat_pipeline.detectors.yolo_world.detector import YoloWorld
from crqat_pipeline.detectors.yolo_world.identity import Identity, identify, widths_of
from crqat_pipeline.detectors.yolo_world.loading import translate
from crqat_pipeline.detectors.yolo_world.sizes import SIZES, spec_of

CLIP_DIM = 512


@dataclass(frozen=True)
class Description:
    """A weight file understood: tensors under this project's keys, and how they were found."""

    file: WeightFile
    identity: Identity
    report: LoadReport
    tensors: dict[str, Tensor]

    @property
    def detector_name(self) -> str:
        assert self.identity.size is not None
        return self.identity.size

    @property
    def detector_options(self) -> dict[str, int]:
        return {"version": self.identity.version, "embedding_dim": self.identity.embedding_dim}

    @property
    def source(self) -> str:
        return self.file.path.name

    @property
    def prompts(self) -> tuple[str, ...]:
        return tuple(self.file.prompts)

    @property
    def text_embeddings_KD(self) -> Tensor | None:  # noqa: N802 - shape letters
        """Of the prompts, (K, D) float32; None where the file has none or others."""
        text, width = self.file.text_embeddings, self.identity.embedding_dim
        if text is None or not self.prompts or text.numel() != len(self.prompts) * width:
            return None
        return text.float().reshape(len(self.prompts), width)

    @property
    def text_encoder(self) -> dict[str, str] | None:
        """CLIP ViT-B/32, with which every published YOLO-World of its width was trained."""
        return {"name": "open_clip"} if self.identity.embedding_dim == CLIP_DIM else None

    @property
    def num_parameters(self) -> int:
        return sum(
            tensor.numel()
            for key, tensor in self.tensors.items()
            if "running_" not in key and not key.endswith("num_batches_tracked")
        )

    def __str__(self) -> str:
        lines = [str(self.report), f"  container {self.file.container}", f"  weights   {self.num_parameters:,}"]
        if self.file.prompts:
            shown = ", ".join(self.file.prompts[:5])
            lines.append(f"  prompts   {len(self.file.prompts)}: {shown}{', …' if len(self.file.prompts) > 5 else ''}")
        return "\n".join(lines)


def describe(source: str | Path) -> Description:
    """Read, identify and translate a file. Raises WeightsRefused when it is no complete YOLO-World of the table."""
    path = local_file(source)
    file = read_weights(path)
    identity = identify(file.tensors, path.name)
    sizes = [size for size, fields in SIZES.items() if widths_of(fields) == identity.widths]
    if not sizes:
        raise WeightsRefused(f"{path.name} is {identity}. Only the sizes of the detector table can be read.")
    for size in sizes:  # two detectors of one width differ in other shapes
        named = replace(identity, size=size)
        with torch.device("meta"):
            spec = spec_of(size, version=identity.version, embedding_dim=identity.embedding_dim)
            expected = YoloWorld(spec).state_dict()
        try:
            tensors, report = translate(file, named, expected)
        except WeightsRefused:
            if size == sizes[-1]:
                raise
        else:
            return Description(file, named, report, tensors)
    raise AssertionError("every size is tried")
