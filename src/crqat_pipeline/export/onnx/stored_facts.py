"""What a graph in memory says of itself."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from crqat_pipeline.model_files.onnx_facts import METADATA_KEY, OnnxFacts, parse_onnx_facts

if TYPE_CHECKING:
    from onnx import ModelProto


def facts_in(model: ModelProto, path: Path) -> OnnxFacts:
    """path: for messages. Raises ValueError as `parse_onnx_facts`."""
    return parse_onnx_facts({entry.key: entry.value for entry in model.metadata_props}.get(METADATA_KEY), path)
