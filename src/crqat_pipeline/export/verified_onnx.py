"""An ONNX file that is proved before it is there.

Shape letters: B images, 3 RGB, H W pixels, K prompts, D embedding.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from crqat_pipeline.detectors.protocol import OpenVocabularyDetector
from crqat_pipeline.export.onnx.fitting_form import check_form, chosen_form
from crqat_pipeline.export.onnx.form_table import FORMS
from crqat_pipeline.export.onnx.requirements import require_onnx
from crqat_pipeline.export.onnx.runtime import runtime_for
from crqat_pipeline.export.onnx.spec import OnnxSpec
from crqat_pipeline.export.onnx.supported import check_declared
from crqat_pipeline.export.onnx.writer import OnnxReport, write_onnx
from crqat_pipeline.export.parity import check_batches
from crqat_pipeline.export.parity_report import ParityReport
from crqat_pipeline.quantization.parts import quantizers
from crqat_pipeline.runtime.atomic import atomic_path
from crqat_pipeline.structures.vocabulary import TextBank

BOX_TOLERANCE_PX = 0.05
SCORE_TOLERANCE = 1e-3
NUM_MADE_UP_PROMPTS = 8


@dataclass(frozen=True)
class VerifiedOnnx:
    """The file, and what its comparison with the detector found: no mismatch but ties."""

    file: OnnxReport
    parity: ParityReport


def write_verified_onnx(
    path: str | Path,
    detector: OpenVocabularyDetector,
    batches: Iterable[Tensor],
    spec: OnnxSpec | None = None,
    *,
    text_bank: TextBank | None = None,
    extra_metadata: Mapping[str, Any] | None = None,
) -> VerifiedOnnx:
    """`write_onnx`, then `check_batches` in the runtime that the form is for; only a graph that agrees gets its name.

    batches: images (B, 3, H, W) to compare on, float32 RGB in [0, 1]; embeddings are those of text_bank, or random unit
    vectors without one. Raises ValueError for a missing extra or a form that does not fit (before any work), and for a
    mismatch that is no tie, naming the layers; a file of that name from before is then still there.
    """
    require_onnx()
    path, spec = Path(path), spec or OnnxSpec()
    form = chosen_form(detector, spec.form)
    check_declared(detector, spec)
    check_form(detector, form)
    texts_KD = _unit_rows(detector.embedding_dim) if text_bank is None else text_bank.embeddings_KD.float()
    with atomic_path(path) as temporary:
        file = write_onnx(temporary, detector, spec, text_bank=text_bank, extra_metadata=extra_metadata)
        parity = check_batches(temporary, _as_exported(detector, form), batches, texts_KD, runtime_for(form))
        check_parity(parity, path.name, form)
    return VerifiedOnnx(replace(file, path=path), parity)


def check_parity(parity: ParityReport, name: str, form: str) -> None:
    """Raises ValueError that names the layers with mismatches that are no ties, or outputs that are too far apart."""
    wrong = [row for row in parity.rows if row.num_unexplained]
    if wrong:
        layers = "\n".join(
            f"  {row.quantizer}: {row.num_unexplained} of {row.num_codes} codes, by at most {row.largest_difference}"
            for row in wrong
        )
        raise ValueError(
            f"An exported graph computes the student's integers, except rounding ties; {name} (form {form}, "
            f"{parity.runtime}) does not in {len(wrong)} of {len(parity.rows)} quantizers, and was not kept:\n"
            f"{layers}\nBefore the form fast, align the student (export.bias_alignment.align_biases); else report this "
            "with the student's file."
        )
    box_px, score = parity.largest_box_difference_px, parity.largest_score_difference
    if not (box_px <= BOX_TOLERANCE_PX and score <= SCORE_TOLERANCE):
        raise ValueError(
            f"An exported graph gives the detector's boxes within {BOX_TOLERANCE_PX} px and scores within "
            f"{SCORE_TOLERANCE}; {name} (form {form}, {parity.runtime}) differs by {box_px:.3g} px and {score:.3g}, "
            "and was not kept. Report this with the detector's file."
        )


def _as_exported(detector: OpenVocabularyDetector, form: str) -> OpenVocabularyDetector:
    """The detector itself, or a copy with its quantizers off where the form leaves them out."""
    if FORMS[form].is_quantized:
        return detector
    plain = copy.deepcopy(detector)
    for _, quantizer in quantizers(plain):
        quantizer.is_on = False
    return plain


def _unit_rows(width: int) -> Tensor:
    rows_KD = torch.randn(NUM_MADE_UP_PROMPTS, width, generator=torch.Generator().manual_seed(0))
    return torch.nn.functional.normalize(rows_KD, dim=1)
