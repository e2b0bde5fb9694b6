"""The graph of a whole detector from its trace.

OPERATORS: which ATen operator is written by whom. A missing one gets a function in the file of its kind and a row.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from crqat_pipeline.detectors.protocol import OpenVocabularyDetector
from crqat_pipeline.export.onnx.emission import Emission
from crqat_pipeline.export.onnx.one_stage.head import HeadTensors
from crqat_pipeline.export.onnx.traced.elementwise import ELEMENTWISE
from crqat_pipeline.export.onnx.traced.layers import LAYERS
from crqat_pipeline.export.onnx.traced.marks import MARK
from crqat_pipeline.export.onnx.traced.resampling import RESAMPLING
from crqat_pipeline.export.onnx.traced.rounding import rounded
from crqat_pipeline.export.onnx.traced.shapes import SHAPES
from crqat_pipeline.export.onnx.traced.tracing import Sizes, Trace, trace
from crqat_pipeline.export.onnx.traced.translation import Operator, Translation, operators_to_write

OPERATORS: Mapping[Any, Operator] = MappingProxyType({**ELEMENTWISE, **SHAPES, **RESAMPLING, **LAYERS, MARK: rounded})


def check_traceable(detector: OpenVocabularyDetector, sizes: Sizes) -> None:
    """Raises ValueError as `traced_detector` does, before there are weights: the meta device will do."""
    traced = trace(detector, sizes, is_quantized=False)
    _check_operators(detector, traced)
    _check_free(detector, traced, sizes)


def traced_detector(
    emission: Emission, detector: OpenVocabularyDetector, images: str, text: str, sizes: Sizes
) -> HeadTensors:
    """Logits, boxes and region embeddings of images in [0, 1] and one set of text embeddings.

    Raises ValueError for a detector that torch.export cannot trace, for operators that nobody writes, and for sizes
    that the detector's code ties to numbers where they are to be free.
    """
    traced = trace(detector, sizes, is_quantized=emission.form.is_quantized)
    _check_operators(detector, traced)
    _check_free(detector, traced, sizes)
    logits, boxes, embeddings = Translation(emission, traced, images, text).write(OPERATORS)
    return HeadTensors(logits, boxes, embeddings)


def _check_operators(detector: OpenVocabularyDetector, traced: Trace) -> None:
    missing = sorted({str(node.target) for node in operators_to_write(traced) if node.target not in OPERATORS})
    if missing:
        raise ValueError(
            f"ONNX graphs of detectors without emitters are written operator by operator; {type(detector).__name__} "
            f"uses {', '.join(missing)}, which nobody writes. Set int4_export.onnx to null and use the packed file, or "
            "add a row (docs/formats/onnx.md)."
        )


def _check_free(detector: OpenVocabularyDetector, traced: Trace, sizes: Sizes) -> None:
    wanted = {
        "batch": (sizes.batch_size, "batch_size"),
        "height": (sizes.image_size_px, "image_size_px"),
        "width": (sizes.image_size_px, "image_size_px"),
        "prompts": (sizes.num_prompts, "has_fixed_vocabulary"),
    }
    tied = [label for label, (fixed, _) in wanted.items() if fixed is None and label not in traced.free]
    if tied:
        options = ", ".join(dict.fromkeys(wanted[label][1] for label in tied))
        raise ValueError(
            f"The code of {type(detector).__name__} ties {', '.join(tied)} to one number, so its ONNX graph cannot "
            f"leave them free; got no {options}. Set {options} in the export's options."
        )
