"""Batches that cannot fit into the memory of the machine, told from shapes alone before anything is trained."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

import torch

from crqat_pipeline.detection_data.loader_spec import LoaderSpec
from crqat_pipeline.detectors import build_detector
from crqat_pipeline.detectors.protocol import OpenVocabularyDetector
from crqat_pipeline.quantization.operation_counter import OperationCounter
from crqat_pipeline.recipes.specs import NamedBuilderSpec, RunSpec
from crqat_pipeline.runtime.device import choose_device, memory_bytes
from crqat_pipeline.runtime.nested import value_at

GB = 1e9
BYTES = {"float32": 4, "bfloat16": 2}
MOST_BYTES_PER_PIXEL = 20_000
"""More than any detector here keeps of a pixel; batches that fit even so are not looked at."""
FEW_PROMPTS = 100
"""No more are counted: a small vocabulary gives no more, whatever num_prompts says."""


def batch_misfits(parameters: Mapping[str, Any], used: Collection[str]) -> Iterator[str]:
    """A line for every `loader` whose batch keeps more for the backward pass than the device of a worker has, or has
    fewer images than there are workers.

    parameters: valid ones; used: sections that this run asks for. The estimate is what the detector's layers read; a
    real step takes more.
    """
    if not {"run", "detector"} <= set(used):
        return
    run = RunSpec.model_validate(parameters["run"])
    num_workers = run.workers.num_workers
    device = choose_device(run.device)
    has = memory_bytes(device)
    sections = {section: value_at(parameters, section.split(".")) for section in sorted(used)}
    loaders = list(_loaders(sections))
    yield from (
        f"{path}.batch_size: every worker takes part of a batch; got {num_workers} workers for batches of "
        f"{loader.batch_size}. Raise it (and lower optimization.accumulation_steps), or lower run.workers.num_workers."
        for path, loader, _ in loaders
        if loader.batch_size < num_workers
    )
    large = [
        (path, loader, precision)
        for path, loader, precision in loaders
        if _images(loader, num_workers) * loader.image_size_px**2 * MOST_BYTES_PER_PIXEL > has
    ]
    if not large:
        return
    row = NamedBuilderSpec.model_validate(parameters["detector"])
    with torch.device("meta"):
        detector = build_detector(row.name, **row.options)
    for path, loader, precision in large:
        images = _images(loader, num_workers)
        needs = images * BYTES.get(precision, 4) * _elements_read(detector, loader)
        if needs > has:
            yield (
                f"{path}.batch_size: {images} images of {loader.image_size_px} px keep at least "
                f"{needs / GB:,.0f} GB for the backward pass; {device.type} has {has / GB:,.0f} GB. Lower it, and "
                "raise optimization.accumulation_steps by as much."
            )


def _images(loader: LoaderSpec, num_workers: int) -> int:
    """That one worker has of a batch, at most."""
    return -(-loader.batch_size // num_workers)


def _loaders(sections: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, LoaderSpec, str]]:
    """Path, spec and precision of every section named loader."""
    for key, value in sections.items():
        if not isinstance(value, Mapping):
            continue
        if key == "loader":
            precision = str((sections.get("optimization") or {}).get("autocast"))
            yield f"{path}{key}", LoaderSpec.model_validate(value), precision
        else:
            yield from _loaders(value, f"{path}{key}.")


def _elements_read(detector: OpenVocabularyDetector, loader: LoaderSpec) -> int:
    """By its layers, of one image; 0 for a detector that does not run on shapes."""
    counter = OperationCounter(detector)
    try:
        counter.count(loader.image_size_px, min(loader.num_prompts, FEW_PROMPTS))
    except (NotImplementedError, RuntimeError, ValueError):
        return 0
    return sum(counter.elements_read[name] for name, module in detector.named_modules() if not any(module.children()))
