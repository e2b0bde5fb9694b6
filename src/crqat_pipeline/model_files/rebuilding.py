"""Detectors to checkpoints and back: what is stored says everything that is needed to rebuild one."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from crqat_pipeline.detectors import build_detector
from crqat_pipeline.detectors.protocol import OpenVocabularyDetector
from crqat_pipeline.model_files.build_budget import BuildBudget
from crqat_pipeline.model_files.checkpoint_file import header_of, weights_of
from crqat_pipeline.model_files.detector_row import DetectorRow, NamesDetector
from crqat_pipeline.model_files.number_checks import check_finite, check_module_numbers
from crqat_pipeline.model_files.number_limits import check_limits
from crqat_pipeline.quantization import QuantSpec, prepare, set_quantized
from crqat_pipeline.quantization.affine import SMALLEST_SCALE
from crqat_pipeline.quantization.parts import quantizers
from crqat_pipeline.structures.checkpoint import Checkpoint


@dataclass(frozen=True)
class RebuiltDetector:
    """A detector in eval mode, and what its checkpoint says of it.

    weights_wait: of the quantized parts only activations are, so far.
    """

    detector: OpenVocabularyDetector
    row: DetectorRow
    quantization: QuantSpec | None
    quantized_parts: tuple[str, ...]
    weights_wait: bool = False


def to_checkpoint(
    tensors: Mapping[str, Tensor],
    row: NamesDetector,
    quantization: QuantSpec | None,
    quantized_parts: Collection[str],
    **facts: Any,
) -> Checkpoint:
    """Tensors of a state dict with the row of the detector, the quantization and the parts that are quantized.

    A plainly stored step that training drove below the smallest scale is written as that scale, which it stood for.
    Raises ValueError for NaN, infinity and numbers beyond their limits, which nobody could read back: foreign weights
    may hold them.
    """
    check_finite(tensors)
    check_limits(tensors)
    detector = DetectorRow.of(row.name, row.options)
    metadata = {
        "detector": detector.as_json(),
        "quantization": quantization.model_dump(mode="json") if quantization else None,
        "quantized_parts": list(quantized_parts),
        **facts,
    }
    stored = {name: value.detach().cpu() for name, value in tensors.items()}
    if quantization is not None and quantization.scale_parametrization == "plain":
        steps = [name for name in stored if name.endswith(".step_G")]
        stored |= {name: stored[name].clamp(min=SMALLEST_SCALE) for name in steps}
    return Checkpoint(stored, metadata)


def rebuild(checkpoint: Checkpoint) -> RebuiltDetector:
    """The detector of a checkpoint, its quantizers switched as they were.

    Raises ValueError for a checkpoint that does not say what it must, does not fit the detector it names, or holds
    numbers that cannot be right.
    """
    header, weights = header_of(checkpoint), weights_of(checkpoint)
    check_finite(weights)
    check_limits(weights)
    detector = unfilled(header.detector, header.quantization, weights)
    _check_fit(detector, weights, header.detector)
    check_module_numbers(detector, weights)
    detector.load_state_dict(weights)
    parts = header.quantized_parts if header.quantization is not None else ()
    if header.quantization is not None:
        set_quantized(detector, parts, quantizes="activations" if header.weights_wait else "all")
    return RebuiltDetector(detector.eval(), header.detector, header.quantization, parts, header.weights_wait)


def unfilled(row: DetectorRow, quantization: QuantSpec | None, stored: Mapping[str, Tensor]) -> OpenVocabularyDetector:
    """The detector of a row with its quantizers in place, before the stored numbers are put in.

    It is built without memory first: options that ask for far more than `stored` are refused before anything is
    allocated. Raises ValueError for these, and for a row that cannot be built or quantized as told.
    """
    try:
        with torch.device("meta"), BuildBudget(stored.values()):
            build_detector(row.name, package=row.package, **row.options)
    except (NotImplementedError, RuntimeError):
        pass  # a builder that reads its own numbers has none to read on the meta device; it has its budget below
    except Exception as error:
        raise _cannot_build(row, error) from error
    try:
        with BuildBudget(stored.values()):
            detector = build_detector(row.name, package=row.package, **row.options)
        if quantization is not None:
            prepare(detector, quantization)
    except Exception as error:  # options out of a file can make a builder fail in any way
        raise _cannot_build(row, error) from error
    return detector


def _cannot_build(row: DetectorRow, error: Exception) -> ValueError:
    reason = (str(error).splitlines() or [type(error).__name__])[0][:300]
    return ValueError(f"The detector {row.name!r} with {str(row.options)[:200]} cannot be built: {reason}")


def _check_fit(detector: nn.Module, stored: Mapping[str, Tensor], row: DetectorRow) -> None:
    """Every tensor of the detector is there, of its shape, floats as floats and whole numbers as whole numbers."""
    expected = detector.state_dict()
    free = {
        f"{name}.{key}"
        for name, quantizer in quantizers(detector)
        if quantizer.num_steps is None
        for key in ("step_G", "zero_point_G")
    }
    missing, surplus = sorted(set(expected) - set(stored)), sorted(set(stored) - set(expected))
    unlike = [
        f"{name} is {stored[name].dtype} {tuple(stored[name].shape)} in place of {want.dtype} {tuple(want.shape)}"
        for name, want in expected.items()
        if name in stored and not _fits(stored[name], want, name in free)
    ]
    faults = [
        f"{text} {', '.join(names[:3])}{f' and {len(names) - 3} more' if len(names) > 3 else ''}"
        for text, names in (("it lacks", missing), ("it does not know", surplus), ("tensor", unlike))
        if names
    ]
    if faults:
        raise ValueError(
            f"The checkpoint does not fit {row.name!r} with {str(row.options)[:200]}: {'; '.join(faults)}. Take the "
            "file that belongs to this detector, or convert foreign weights with `crqat weights`."
        )


def _fits(tensor: Tensor, want: Tensor, is_free: bool) -> bool:
    shape_fits = tensor.ndim == 1 and 0 < tensor.numel() <= 10_000 if is_free else tensor.shape == want.shape
    is_alike = tensor.is_floating_point() if want.is_floating_point() else tensor.dtype == want.dtype
    return shape_fits and is_alike
