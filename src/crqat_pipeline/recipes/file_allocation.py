"""Widths for one checkpoint and a folder of photographs.

Shape letters: B images, 3 RGB, H W pixels, K prompts, D embedding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from crqat_pipeline.allocation import AllocationSpec, Budget
from crqat_pipeline.inference.image_source import open_image
from crqat_pipeline.quantization import QuantSpec
from crqat_pipeline.recipes.allocating import AllocatedWidths, allocate_for, drawn_prompts
from crqat_pipeline.recipes.file_export import image_batches
from crqat_pipeline.recipes.file_quantization import open_for_quantization
from crqat_pipeline.structures.vocabulary import TextBank


@dataclass(frozen=True)
class AllocationRequest:
    """What is asked. images: files. bank: embeddings (K, D) that prompts are drawn from; the model's own by default."""

    model: Path
    images: Sequence[Path]
    quantization: QuantSpec
    menu: str
    budget: Budget
    num_prompts: int
    latencies: Path | None = None
    bank: TextBank | None = None
    image_size_px: int | None = None
    seed: int = 0


def allocate_file(request: AllocationRequest) -> AllocatedWidths:
    """The best widths within the budget. Raises ValueError for a model that is quantized already, or has no prompts."""
    opened = open_for_quantization(request.model, request.bank, request.image_size_px)
    spec = AllocationSpec(
        menu=request.menu,
        budget=request.budget,
        image_size_px=opened.image_size_px,
        num_prompts=request.num_prompts,
        images=len(request.images),
        latencies=request.latencies,
    )
    images = (open_image(file) for file in request.images)
    batches = [
        (images_B3HW, texts_KD)
        for images_B3HW, texts_KD in zip(
            image_batches(images, opened.image_size_px, spec.batch_size),
            drawn_prompts(opened.bank, spec, request.seed),
            strict=False,
        )
    ]
    return allocate_for(opened.rebuilt.detector.eval(), batches, request.quantization, spec)
