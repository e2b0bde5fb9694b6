"""8-bit pre-activation quantizers for a student that was trained without, so that runtimes can fuse its convolutions.

Shape letters: B images, 3 RGB, H W pixels, K prompts, D embedding.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor

from crqat_pipeline.detectors import OpenVocabularyDetector, build_detector
from crqat_pipeline.export.bias_alignment import align_biases
from crqat_pipeline.quantization import QuantSpec, prepare, set_quantized
from crqat_pipeline.quantization.affine import choose_qparams
from crqat_pipeline.quantization.parts import part_of, quantizers

PRE_ACTIVATION_BITS = 8


@torch.no_grad()
def with_pre_activation(
    student: OpenVocabularyDetector,
    batches: Iterable[tuple[Tensor, Tensor]],
    *,
    detector_name: str,
    detector_options: Mapping[str, Any],
    quantization: QuantSpec,
) -> tuple[OpenVocabularyDetector, QuantSpec]:
    """A copy of the student with calibrated pre-activation quantizers and aligned biases, and its spec.

    student: prepared with `quantization`, its quantized parts on. batches: (images_B3HW, text_embeddings) that the new
    quantizers take their range from; a few dozen images are enough. The copy rounds once more per layer than the
    student was trained for; train with pre_activation_bits=8 where that matters. Raises ValueError for no batches and
    for a student that has pre-activation quantizers already.
    """
    if quantization.pre_activation_bits is not None:
        raise ValueError(
            f"This student was trained with {quantization.pre_activation_bits}-bit pre-activations; export it as it is."
        )
    spec = quantization.model_copy(update={"pre_activation_bits": PRE_ACTIVATION_BITS})
    detector = build_detector(detector_name, **detector_options).eval()
    prepare(detector, spec)
    missing = detector.load_state_dict(student.state_dict(), strict=False).missing_keys
    new = {name.rpartition(".")[0] for name in missing}
    active = {part_of(student, name) for name, quantizer in quantizers(student) if quantizer.is_on}
    set_quantized(detector, [part for part in detector.parts if part in active])
    waiting = {name: quantizer for name, quantizer in quantizers(detector) if name in new and quantizer.is_on}
    for quantizer in waiting.values():
        quantizer.is_observing = True
    for images_B3HW, text_embeddings in batches:
        detector(images_B3HW, text_embeddings)
    for name, quantizer in waiting.items():
        observer = quantizer.observer
        if observer is None:
            raise ValueError(f"Pre-activations need calibration images; {name!r} saw none. Give at least one batch.")
        quantizer.set_qparams(*choose_qparams(observer.min_G, observer.max_G, quantizer.grid))
        quantizer.stop_observing()
    align_biases(detector)
    return detector, spec
