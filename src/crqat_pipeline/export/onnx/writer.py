"""Write an ONNX model to a file, whole or not at all, and say what it weighs."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crqat_pipeline.detectors.protocol import OpenVocabularyDetector
from crqat_pipeline.export.onnx.model import build_onnx
from crqat_pipeline.export.onnx.spec import OnnxSpec
from crqat_pipeline.export.onnx.stored_facts import facts_in
from crqat_pipeline.model_files.onnx_facts import OnnxFacts, signed
from crqat_pipeline.runtime.atomic import atomic_path
from crqat_pipeline.structures.vocabulary import TextBank


@dataclass(frozen=True)
class OnnxReport:
    """file_bytes and sha256 of the whole file; facts: what it says of itself, its form (row of FORMS) among it."""

    path: Path
    facts: OnnxFacts
    file_bytes: int
    sha256: str

    @property
    def form(self) -> str:
        return self.facts.form

    @property
    def num_wide_layers(self) -> int:
        """Layers whose sums old CPUs saturate (see Emission)."""
        return len(self.facts.wide_layers)


def write_onnx(
    path: str | Path,
    detector: OpenVocabularyDetector,
    spec: OnnxSpec | None = None,
    *,
    text_bank: TextBank | None = None,
    extra_metadata: Mapping[str, Any] | None = None,
) -> OnnxReport:
    """Export a detector (see `build_onnx`); the same detector and options give the same bytes.

    text_bank: prompts to store in the file: as its vocabulary if the spec fixes it, else as its default one.
    export.verified_onnx.write_verified_onnx also proves the file.
    """
    path, spec = Path(path), spec or OnnxSpec()
    model = build_onnx(detector, spec, text_bank, extra_metadata)
    content = signed(model.SerializeToString(deterministic=True))
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)
    facts = facts_in(model, path)
    checksum = hashlib.sha256(content).hexdigest()
    return OnnxReport(path, facts, len(content), checksum)
