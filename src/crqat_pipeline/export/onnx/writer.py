"""Write an ONNX model to a file, whole or not at all, and say what it weighs."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crqat_pipeline.detectors.protocol import OpenVocabularyDetector
from crqat_pipeline.export.onnx.model import OnnxSpec, build_onnx
from crqat_pipeline.runtime.atomic import atomic_path
from crqat_pipeline.structures.vocabulary import TextBank


@dataclass(frozen=True)
class OnnxReport:
    """file_bytes and sha256 of the whole file; form: row of FORMS."""

    path: Path
    form: str
    file_bytes: int
    sha256: str


def write_onnx(
    path: str | Path,
    detector: OpenVocabularyDetector,
    spec: OnnxSpec | None = None,
    *,
    text_bank: TextBank | None = None,
    extra_metadata: Mapping[str, Any] | None = None,
) -> OnnxReport:
    """Export a detector (see `build_onnx`); the same detector and options give the same bytes.

    text_bank: prompts to store in the file: as its vocabulary if the spec fixes it, else as its default one. Verify the
    file with export.parity.check_codes.
    """
    path, spec = Path(path), spec or OnnxSpec()
    content = build_onnx(detector, spec, text_bank, extra_metadata).SerializeToString(deterministic=True)
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)
    return OnnxReport(path, spec.form, len(content), hashlib.sha256(content).hexdigest())
