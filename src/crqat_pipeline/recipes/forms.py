"""A form of the detector, from what is stored of it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path

from crqat_pipeline.detectors.protocol import OpenVocabularyDetector
from crqat_pipeline.inference.onnx_model import OnnxModel
from crqat_pipeline.model_files.checkpoint_file import read_checkpoint
from crqat_pipeline.model_files.kind import PACKED, kind_of
from crqat_pipeline.model_files.packed import read_packed
from crqat_pipeline.model_files.rebuilding import rebuild
from crqat_pipeline.recipes.detecting import Find, whole_vocabulary_finder
from crqat_pipeline.recipes.specs import EvaluationSpec
from crqat_pipeline.recipes.stage_data import TrainingData
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


def graph_finder(model: OnnxModel, data: TrainingData, spec: EvaluationSpec) -> Find:
    """Looks for all prompts of the data."""
    return partial(
        model.detect,
        text_KD=data.text_bank.embeddings_KD,
        score_threshold=spec.score_threshold,
        max_detections=spec.max_detections,
    )


def form_finder(source: Source, data: TrainingData, spec: EvaluationSpec, device: str) -> Find:
    """Loads a form of any kind and looks for all prompts of the data."""
    if isinstance(source, Path) and is_graph(source):
        return graph_finder(OnnxModel(source), data, spec)
    return whole_vocabulary_finder(load_form(source), data, spec, device)


def written(sources: Mapping[str, Source]) -> dict[str, Source]:
    """Those that exist: an empty file stands for a graph that was not exported (int4_export.onnx: null)."""
    return {name: one for name, one in sources.items() if isinstance(one, Checkpoint) or one.stat().st_size > 0}
