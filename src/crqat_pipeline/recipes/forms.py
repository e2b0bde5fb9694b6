"""A form of the detector, from what is stored of it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from crqat_pipeline.detectors.protocol import OpenVocabularyDetector
from crqat_pipeline.model_files.checkpoint_file import read_checkpoint
from crqat_pipeline.model_files.kind import PACKED, kind_of
from crqat_pipeline.model_files.packed import read_packed
from crqat_pipeline.model_files.rebuilding import rebuild
from crqat_pipeline.structures.checkpoint import Checkpoint

Source = Checkpoint | Path


def load_form(source: Source) -> OpenVocabularyDetector:
    """A detector in eval mode, from a checkpoint or from a file of one, or from a packed file."""
    if isinstance(source, Checkpoint):
        return rebuild(source).detector
    if kind_of(source) == PACKED:
        return read_packed(source).build().eval()
    return rebuild(read_checkpoint(source)).detector


def is_graph(source: Source) -> bool:
    """Whether it is an ONNX file."""
    return isinstance(source, Path) and source.suffix == ".onnx"


def written(sources: Mapping[str, Source]) -> dict[str, Source]:
    """Those that exist: an empty file stands for a graph that was not exported (int4_export.onnx: null)."""
    return {name: one for name, one in sources.items() if isinstance(one, Checkpoint) or one.stat().st_size > 0}
