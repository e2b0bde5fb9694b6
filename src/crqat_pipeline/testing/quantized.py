"""Checks of a detector under quantization: off it is bit-equal, on it trains, packed it answers the same."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from crqat_pipeline.detectors import OpenVocabularyDetector
from crqat_pipeline.model_files.packed import read_packed, write_packed
from crqat_pipeline.quantization import QuantSpec, calibrate, cost, prepare, quantizer_parameters, set_quantized
from crqat_pipeline.testing.sample import images, objects, side_px, texts


def _spec() -> QuantSpec:
    return QuantSpec.parse("4-4-8", kernel="eager")


def check_cost(detector: OpenVocabularyDetector) -> None:
    """Size and bit operations are counted from shapes, and 4-4-8 costs less than full precision."""
    side = side_px(detector)
    full, low = cost(detector, None, side, 3), cost(detector, _spec(), side, 3)
    assert full.macs_g == low.macs_g > 0, "quantization changes no number of multiplications"
    assert low.size_mb < full.size_mb, f"4-4-8 is smaller; {low.size_mb:.2f} and {full.size_mb:.2f} MB"
    assert low.bops_t < full.bops_t, "4-4-8 needs fewer bit operations"


def check_prepared(detector: OpenVocabularyDetector) -> None:
    """Prepared, with every quantizer off, the answer is bit-equal."""
    pictures, text = images(detector), texts(detector, 3)
    with torch.no_grad():
        before = detector(pictures, text)
        summary = prepare(detector, _spec())
        after = detector(pictures, text)
    assert summary.quantized, "4-4-8 quantizes some layers"
    assert torch.equal(before.class_logits_BNK, after.class_logits_BNK), "quantizers that are off change nothing"
    assert torch.equal(before.boxes_BN4, after.boxes_BN4), "quantizers that are off change nothing"


def check_stages(detector: OpenVocabularyDetector) -> None:
    """Part after part is calibrated and switched on; the loss reaches the steps of every quantizer."""
    prepare(detector, _spec())
    batch = (images(detector), texts(detector, 3))
    done: list[str] = []
    for part in detector.parts:
        calibrate(detector, [batch], [part])
        done.append(part)
        set_quantized(detector, done)
    losses = detector.loss(detector.eval()(*batch), objects(side_px(detector)))
    torch.stack(list(losses.values())).sum().backward()  # type: ignore[no-untyped-call]
    steps = quantizer_parameters(detector)
    unreached = sum(1 for step in steps if step.grad is None)
    assert steps, "there are learned steps"
    assert not unreached, f"the loss reaches every quantizer; {unreached} of {len(steps)} tensors have no gradient"


def check_packed(detector: OpenVocabularyDetector, name: str, options: Mapping[str, Any]) -> None:
    """Written to a packed file and read back into a detector of the same row, the answers are equal to the bit."""
    spec, batch = _spec(), (images(detector), texts(detector, 3))
    prepare(detector, spec)
    calibrate(detector, [batch], list(detector.parts))
    set_quantized(detector, list(detector.parts))
    with tempfile.TemporaryDirectory() as folder, torch.no_grad():
        path = Path(folder) / "packed.safetensors"
        write_packed(path, detector, detector_name=name, detector_options=options, quantization=spec)
        again = read_packed(path).build()
        got, wanted = again(*batch), detector(*batch)
    distance = float((got.class_logits_BNK - wanted.class_logits_BNK).abs().max())
    assert distance <= 1e-5 * max(1.0, float(wanted.class_logits_BNK.abs().max())), (
        f"a packed file answers as the student does; logits are up to {distance:.3g} apart"
    )
