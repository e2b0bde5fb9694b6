"""Read a packed file back: codes bit for bit, and a detector whose outputs equal the student's.

Shape letters: K prompts, D embedding.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from torch import Tensor

from crqat_pipeline.detectors.protocol import OpenVocabularyDetector
from crqat_pipeline.model_files.detector_row import DetectorRow
from crqat_pipeline.model_files.packed.header import FORMAT_NAME, FORMAT_VERSION, HEADER_KEY, content_sha256
from crqat_pipeline.model_files.packed.manifest import PackedEntry, manifest
from crqat_pipeline.model_files.packed.writer import TEXT_BANK_TENSOR
from crqat_pipeline.model_files.rebuilding import unfilled
from crqat_pipeline.quantization import QuantSpec, set_quantized
from crqat_pipeline.structures.vocabulary import TextBank

AS_STORED = {
    "scale_parametrization": "plain",
    "weight_quantizer": "fixed",
    "activation_quantizer": "fixed",
    "kernel": "eager",
}


@dataclass(frozen=True)
class PackedModel:
    """Tensors and facts of a packed file whose checksum was right."""

    path: Path
    tensors: Mapping[str, Tensor]
    metadata: Mapping[str, Any]

    @property
    def text_bank(self) -> TextBank | None:
        """The shipped prompts and embeddings, if any."""
        facts = self.metadata["text_bank"]
        if facts is None:
            return None
        return TextBank(
            tuple(facts["prompts"]), self.tensors[TEXT_BANK_TENSOR], facts["encoder"], facts["is_normalized"]
        )

    @property
    def quantization(self) -> QuantSpec:
        """The spec that the student was trained with."""
        return QuantSpec.model_validate(self.metadata["quantization"])

    @property
    def as_stored(self) -> QuantSpec:
        """The spec that `build` prepares its detector with: steps as they are, nothing learned, no compiled kernel."""
        return self.quantization.model_copy(update=AS_STORED)

    @property
    def extra(self) -> Mapping[str, Any]:
        """Facts that the writer was asked to keep."""
        extra: dict[str, Any] = self.metadata["extra"]
        return extra

    def build(self) -> OpenVocabularyDetector:
        """The detector in eval mode, quantizers on: outputs equal those of the student that was written.

        Steps are stored plainly (the student may have trained their logarithms), and a weight is its code times its
        step, which its quantizer maps onto itself. Raises ValueError if names, shapes or dtypes do not fit.
        """
        detector = unfilled(DetectorRow.model_validate(self.metadata["detector"]), self.as_stored)
        set_quantized(detector, self.metadata["quantized_parts"])
        entries = manifest(detector)
        self._check_names(entries)
        for name, entry in entries.items():
            self._check_entry(entry)
            entry.set(self.tensors[name])
        return detector.eval().requires_grad_(False)

    def _check_names(self, entries: Mapping[str, PackedEntry]) -> None:
        found = set(self.tensors) - {TEXT_BANK_TENSOR}
        missing, extra = sorted(set(entries) - found), sorted(found - set(entries))
        if missing or extra:
            raise ValueError(
                f"{self.path} does not fit the detector it names, {self.metadata['detector']}: missing {missing[:3]} "
                f"({len(missing)} in all), not expected {extra[:3]} ({len(extra)}). Export it again with this version."
            )

    def _check_entry(self, entry: PackedEntry) -> None:
        tensor = self.tensors[entry.name]
        fits = tensor.dtype == entry.dtype and len(entry.shape) == tensor.ndim
        if not fits or any(want not in (None, got) for want, got in zip(entry.shape, tensor.shape, strict=True)):
            raise ValueError(
                f"{self.path}: tensor {entry.name!r} must be {entry.dtype} {entry.shape}; it is {tensor.dtype} "
                f"{tuple(tensor.shape)}. Export the model again."
            )


def read_packed(path: str | Path) -> PackedModel:
    """Open a packed file and verify its checksum.

    Raises ValueError, saying what is wrong and what to do, for a file that is missing, cut off, altered, of another
    kind or written by a later version of the format.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"No packed model {path}. Check the path, or make one with the pipeline int4_export.")
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
            facts = json.loads((file.metadata() or {}).get(HEADER_KEY, "{}"))
    except (SafetensorError, OSError, ValueError) as error:
        raise ValueError(
            f"{path} ({path.stat().st_size} bytes) is not a whole safetensors file: {error}. Copy or export it again."
        ) from error
    if facts.get("format") != FORMAT_NAME:
        raise ValueError(
            f"{path} is a safetensors file but no packed model: its header says {facts.get('format')!r}, not "
            f"{FORMAT_NAME!r}. Packed models come from the pipeline int4_export."
        )
    version = facts.get("format_version")
    if not isinstance(version, int) or not 1 <= version <= FORMAT_VERSION:
        raise ValueError(
            f"{path} has format version {version!r}; this program reads versions 1 to {FORMAT_VERSION}. "
            "Update crqat-pipeline, or export the model again with it."
        )
    expected, found = facts.get("sha256"), content_sha256(tensors, facts)
    if expected != found:
        raise ValueError(
            f"{path} was altered: its content has checksum {found[:16]}…, its header says {str(expected)[:16]}…. "
            "Copy or export it again."
        )
    return PackedModel(path, tensors, facts)
