"""Proof that an exported graph computes the student's integers, layer by layer.

Every layer is fed the codes that the graph itself computed before it, so that one rounding tie does not show in all
layers after it: a mismatch belongs to the layer that reports it.

Shape letters: B images, 3 RGB, H W pixels, K prompts, D embedding.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from crqat_pipeline.detectors.protocol import OpenVocabularyDetector
from crqat_pipeline.export.onnx.runtime import Execution, Opened, open_model
from crqat_pipeline.export.onnx.saturation import needs_raising, raise_weights
from crqat_pipeline.export.onnx.stored_facts import facts_in
from crqat_pipeline.export.parity_report import CodeRow, ParityReport, joined
from crqat_pipeline.model_files.onnx_facts import OnnxFacts, call_of_key, key_of_call
from crqat_pipeline.quantization.affine import along_axis
from crqat_pipeline.quantization.fake_quantizer import FakeQuantizer

TIE_TOLERANCE = 1e-3
TAP_SUFFIX = "/tap"


def check_codes(
    path: str | Path,
    detector: OpenVocabularyDetector,
    images_B3HW: Tensor,
    text_KD: Tensor,
    runtime: str = "onnxruntime",
) -> ParityReport:
    """Compare the codes of every quantizer of an exported file with the student's. See the module for how.

    detector: the student that was exported, quantizers on. text_KD: the folded bank where the vocabulary is fixed.
    Raises ValueError for a file of another program.
    """
    return check_batches(path, detector, [images_B3HW], text_KD, runtime)


def check_batches(
    path: str | Path,
    detector: OpenVocabularyDetector,
    batches: Iterable[Tensor],
    text_KD: Tensor,
    runtime: str = "onnxruntime",
) -> ParityReport:
    """`check_codes` over batches of images (B, 3, H, W), the graph opened once. Raises ValueError for no batch."""
    model, facts = _with_taps(Path(path))
    taps = facts.taps
    names = sorted({f"{tensor}{TAP_SUFFIX}" for tensor, _ in taps.values()})
    run = open_model(model, ["boxes", "scores", *names], runtime)
    return compared_batches(run, taps, detector, batches, text_KD, runtime)


@torch.no_grad()
def compared_batches(
    run: Opened,
    taps: Mapping[str, tuple[str, str]],
    detector: OpenVocabularyDetector,
    batches: Iterable[Tensor],
    text_KD: Tensor,
    runtime: str,
) -> ParityReport:
    """The same for a graph that is open already and gives boxes, scores and, per tap, its tensor's name + TAP_SUFFIX.

    taps: quantizer (and call) -> tensor and kind, as OnnxFacts has them.
    """
    detector.eval()
    reports = []
    for images_B3HW in batches:
        execution = run({"images": images_B3HW.numpy(), "text_embeddings": text_KD.numpy()})
        reports.append(_compared(execution, taps, detector, images_B3HW, text_KD, runtime))
    if not reports:
        raise ValueError("A graph is compared with its student on images; got none. Give at least one.")
    return joined(reports)


def _compared(
    execution: Execution,
    taps: Mapping[str, tuple[str, str]],
    detector: OpenVocabularyDetector,
    images_B3HW: Tensor,
    text_KD: Tensor,
    runtime: str,
) -> ParityReport:
    rows: list[CodeRow] = []
    codes: dict[str, dict[int, Tensor]] = defaultdict(dict)
    for key, (tensor, kind) in taps.items():
        name, call = call_of_key(key)
        quantizer = detector.get_submodule(name)
        assert isinstance(quantizer, FakeQuantizer)
        codes[name][call] = _codes(quantizer, torch.from_numpy(execution.outputs[f"{tensor}{TAP_SUFFIX}"]), kind)
    handles = [
        detector.get_submodule(name).register_forward_hook(_comparison(name, by_call, rows))
        for name, by_call in codes.items()
    ]
    try:
        output = detector(images_B3HW, text_KD)
    finally:
        for handle in handles:
            handle.remove()
    return ParityReport(
        runtime,
        len(images_B3HW),
        tuple(rows),
        _distance(execution, "scores", output.class_logits_BNK.sigmoid().numpy()),
        _distance(execution, "boxes", output.boxes_BN4.numpy()),
        execution.integer_convolutions,
        execution.float_convolutions,
    )


def _with_taps(path: Path) -> tuple[bytes, OnnxFacts]:
    import onnx

    model = onnx.load(path)
    facts = facts_in(model, path)
    if needs_raising(facts):
        raise_weights(model, facts.wide_layers)
    for tensor in sorted({tensor for tensor, _ in facts.taps.values()}):
        copy = f"{tensor}{TAP_SUFFIX}"
        model.graph.node.append(onnx.helper.make_node("Cast", [tensor], [copy], to=onnx.TensorProto.FLOAT))
        model.graph.output.append(onnx.helper.make_empty_tensor_value_info(copy))
    return model.SerializeToString(), facts


def _codes(quantizer: FakeQuantizer, values: Tensor, kind: str) -> Tensor:
    """The quantizer's own codes, as floats, from what the graph holds."""
    values, axis = values.float(), quantizer.settings.axis
    zero_point_G = torch.zeros(1) if quantizer.zero_point is None else quantizer.zero_point
    if kind == "codes":
        return values + quantizer.grid.quant_min
    if kind == "values":
        values = torch.round(values / along_axis(quantizer.scale, values, axis))
    return values + along_axis(zero_point_G, values, axis)


def _comparison(name: str, by_call: Mapping[int, Tensor], rows: list[CodeRow]) -> Any:
    calls = itertools.count()

    def hook(quantizer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        assert isinstance(quantizer, FakeQuantizer)
        call = next(calls)
        if call not in by_call:
            return output  # nothing in the graph reads it
        codes = by_call[call]
        own = quantizer.codes(inputs[0])
        is_wrong = own != codes
        steps = inputs[0] / along_axis(quantizer.scale, inputs[0], quantizer.settings.axis)
        is_tie = (steps - steps.floor() - 0.5).abs() < TIE_TOLERANCE
        rows.append(
            CodeRow(
                key_of_call(name, call),
                own.numel(),
                int(is_wrong.sum()),
                int((is_wrong & is_tie).sum()),
                _largest_difference(own, codes),
            )
        )
        return quantizer.dequantize(codes)

    return hook


def _largest_difference(own: Tensor, codes: Tensor) -> int:
    """In codes; NaN on either side counts as the whole range of 8 bits."""
    return int((own - codes).abs().nan_to_num(nan=255.0).max()) if own.numel() else 0


def _distance(execution: Execution, name: str, expected: np.ndarray) -> float:
    return float(np.abs(execution.outputs[name] - expected).max(initial=0.0))
