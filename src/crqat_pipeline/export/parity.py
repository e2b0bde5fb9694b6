"""Proof that an exported graph computes the student's integers, layer by layer.

Every layer is fed the codes that the graph itself computed before it, so that one rounding tie does not show in all
layers after it: a mismatch belongs to the layer that reports it.

Shape letters: B images, 3 RGB, H W pixels, K prompts, D embedding.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from crqat_pipeline.detectors.protocol import OpenVocabularyDetector
from crqat_pipeline.export.onnx.model import METADATA_KEY
from crqat_pipeline.export.onnx.runtime import Execution, run_model
from crqat_pipeline.quantization.affine import along_axis
from crqat_pipeline.quantization.fake_quantizer import FakeQuantizer

TIE_TOLERANCE = 1e-3
TAP_SUFFIX = "/tap"


@dataclass(frozen=True)
class CodeRow:
    """One quantizer. num_ties: mismatches whose value lies within TIE_TOLERANCE steps of the border of two codes."""

    quantizer: str
    num_codes: int
    num_mismatches: int
    num_ties: int
    largest_difference: int


@dataclass(frozen=True)
class ParityReport:
    """rows: one per quantizer. The largest differences are between the graph and the student fed with its codes."""

    runtime: str
    rows: tuple[CodeRow, ...]
    largest_score_difference: float
    largest_box_difference_px: float
    integer_convolutions: int
    float_convolutions: int

    @property
    def num_codes(self) -> int:
        return sum(row.num_codes for row in self.rows)

    @property
    def num_mismatches(self) -> int:
        return sum(row.num_mismatches for row in self.rows)

    @property
    def num_unexplained(self) -> int:
        """Mismatches that are no ties."""
        return sum(row.num_mismatches - row.num_ties for row in self.rows)

    def __str__(self) -> str:
        lines = [
            f"{self.runtime}: {self.num_mismatches} of {self.num_codes} codes differ "
            f"({self.num_unexplained} of them no ties); {self.integer_convolutions} convolutions run on integers, "
            f"{self.float_convolutions} in floating point; boxes within {self.largest_box_difference_px:.2g} px, "
            f"scores within {self.largest_score_difference:.2g}"
        ]
        for row in self.rows:
            if row.num_mismatches:
                lines.append(
                    f"  {row.quantizer}: {row.num_mismatches} of {row.num_codes}, {row.num_ties} ties, by at most "
                    f"{row.largest_difference}"
                )
        return "\n".join(lines)


@torch.no_grad()
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
    model, facts = _with_taps(Path(path))
    taps: Mapping[str, list[str]] = facts["taps"]
    names = sorted({f"{tensor}{TAP_SUFFIX}" for tensor, _ in taps.values()})
    feeds = {"images": images_B3HW.numpy(), "text_embeddings": text_KD.numpy()}
    execution = run_model(model, feeds, ["boxes", "scores", *names], runtime)
    rows: list[CodeRow] = []
    handles = []
    for name, (tensor, kind) in taps.items():
        quantizer = detector.get_submodule(name)
        assert isinstance(quantizer, FakeQuantizer)
        codes = _codes(quantizer, torch.from_numpy(execution.outputs[f"{tensor}{TAP_SUFFIX}"]), kind)
        handles.append(quantizer.register_forward_hook(_comparison(name, codes, rows)))
    try:
        output = detector.eval()(images_B3HW, text_KD)
    finally:
        for handle in handles:
            handle.remove()
    scores = output.class_logits_BNK.sigmoid().numpy()
    return ParityReport(
        runtime,
        tuple(rows),
        _distance(execution, "scores", scores),
        _distance(execution, "boxes", output.boxes_BN4.numpy()),
        execution.integer_convolutions,
        execution.float_convolutions,
    )


def _with_taps(path: Path) -> tuple[bytes, dict[str, Any]]:
    import onnx

    model = onnx.load(path)
    facts = json.loads({entry.key: entry.value for entry in model.metadata_props}.get(METADATA_KEY, "{}"))
    if "taps" not in facts:
        raise ValueError(f"{path} was not exported by this project: it does not say where its codes are.")
    for tensor in sorted({tensor for tensor, _ in facts["taps"].values()}):
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


def _comparison(name: str, codes: Tensor, rows: list[CodeRow]) -> Any:
    def hook(quantizer: nn.Module, inputs: tuple[Tensor, ...], _: Tensor) -> Tensor:
        assert isinstance(quantizer, FakeQuantizer)
        own = quantizer.codes(inputs[0])
        is_wrong = own != codes
        steps = inputs[0] / along_axis(quantizer.scale, inputs[0], quantizer.settings.axis)
        is_tie = (steps - steps.floor() - 0.5).abs() < TIE_TOLERANCE
        rows.append(
            CodeRow(
                name,
                own.numel(),
                int(is_wrong.sum()),
                int((is_wrong & is_tie).sum()),
                int((own - codes).abs().max()) if own.numel() else 0,
            )
        )
        return quantizer.dequantize(codes)

    return hook


def _distance(execution: Execution, name: str, expected: np.ndarray) -> float:
    return float(np.abs(execution.outputs[name] - expected).max(initial=0.0))
