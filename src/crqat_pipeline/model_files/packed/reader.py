"""Read a packed file back: codes bit for bit, and a detector whose outputs equal the student's.

Shape letters: K prompts, D embedding.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from crqat_pipeline.detectors.protocol import OpenVocabularyDetector
from crqat_pipeline.model_files.checkpoint_file import TEXT_BANK_TENSOR, bank_from
from crqat_pipeline.model_files.headers import PackedHeader, check_version, parse_header
from crqat_pipeline.model_files.packed.header import FORMAT_NAME, FORMAT_VERSION
from crqat_pipeline.model_files.packed.manifest import PackedEntry, layer_facts, manifest
from crqat_pipeline.model_files.packed.stored_numbers import check_numbers
from crqat_pipeline.model_files.rebuilding import unfilled
from crqat_pipeline.quantization import QuantSpec, set_quantized
from crqat_pipeline.runtime.tensor_file import DIGEST_KEY, FORMAT_KEY, VERSION_KEY, check_digest, open_tensors
from crqat_pipeline.structures.vocabulary import TextBank

AS_STORED = {
    "scale_parametrization": "plain",
    "weight_quantizer": "fixed",
    "activation_quantizer": "fixed",
    "kernel": "eager",
}


@dataclass(frozen=True)
class PackedModel:
    """Tensors and facts of a packed file whose checksum was right. metadata: the header as it stands in the file."""

    path: Path
    tensors: Mapping[str, Tensor]
    metadata: Mapping[str, Any]
    header: PackedHeader
    text_bank: TextBank | None

    @property
    def quantization(self) -> QuantSpec:
        """The spec that the student was trained with."""
        return self.header.quantization

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
        step, which its quantizer maps onto itself. Raises ValueError if names, shapes or dtypes do not fit, or if a
        tensor holds numbers that cannot be right.
        """
        try:
            detector = unfilled(self.header.detector, self.as_stored, self.tensors)
            set_quantized(detector, self.header.quantized_parts)
        except ValueError as error:
            raise ValueError(f"{self.path}: {error}") from error
        entries = manifest(detector, self.header.format_version)
        self._check_names(entries)
        self._check_grids(detector)
        for name, entry in entries.items():
            self._check_entry(entry)
            entry.set(self.tensors[name])
        return detector.eval().requires_grad_(False)

    def _check_grids(self, detector: OpenVocabularyDetector) -> None:
        """What `layers` says to readers elsewhere is what the spec says."""
        told, found = {name: facts.model_dump() for name, facts in self.header.layers.items()}, layer_facts(detector)
        if told != found:
            name = next(name for name in {**told, **found} if told.get(name) != found.get(name))
            raise ValueError(
                f"{self.path}: the grid of {name!r} is {told.get(name)} by its layers and {found.get(name)} by its "
                "quantization. Export the model again."
            )

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
        try:
            check_numbers(entry, tensor)
        except ValueError as error:
            raise ValueError(f"{self.path}: {error}") from error


def read_packed(path: str | Path) -> PackedModel:
    """Open a packed file and verify its checksum.

    Raises ValueError, saying what is wrong and what to do, for a file that is missing, cut off, altered, of another
    kind or written by a later version of the format.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"No packed model {path}. Check the path, or make one with the pipeline int4_export.")
    tensors, facts = open_tensors(path)
    if facts.get(FORMAT_KEY) != FORMAT_NAME:
        raise ValueError(
            f"{path} is a safetensors file but no packed model: its header says {facts.get(FORMAT_KEY)!r}, not "
            f"{FORMAT_NAME!r}. Packed models come from the pipeline int4_export."
        )
    check_version(path, facts.get(VERSION_KEY), FORMAT_VERSION)
    check_digest(path, tensors, facts, facts.get(DIGEST_KEY))
    header = parse_header(PackedHeader, facts, path)
    try:
        text_bank = bank_from(tensors.get(TEXT_BANK_TENSOR), header.text_bank)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    return PackedModel(path, tensors, facts, header, text_bank)
