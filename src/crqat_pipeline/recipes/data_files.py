"""Images with their targets and prompts as files that workers on any machine read, given the same file system."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from crqat_pipeline.detection_data.image_folder import ImageFolder
from crqat_pipeline.detection_data.sources.folders import SourceFolders
from crqat_pipeline.detection_data.split_columns import map_columns, write_columns
from crqat_pipeline.model_files import read_text_bank, write_text_bank
from crqat_pipeline.recipes.stage_data import TrainingData
from crqat_pipeline.structures.vocabulary import Vocabulary


def write_data(folder: Path, data: TrainingData) -> dict[str, Any]:
    """The columns, prompts and embeddings beside one another; where the images lie is returned, JSON-able."""
    folder.mkdir(parents=True, exist_ok=True)
    write_columns(folder / "split.arrow", data.split)
    write_text_bank(folder / "text_bank.safetensors", data.text_bank)
    text = json.dumps(data.vocabulary.as_record(), ensure_ascii=False)
    (folder / "vocabulary.json").write_text(text, encoding="utf-8")
    if isinstance(data.images, SourceFolders):
        return {"sources": {name: str(one.root.resolve()) for name, one in data.images.folders.items()}}
    return {"images": str(data.images.root.resolve()), "exif_orientation": data.images.exif_orientation}


def read_data(folder: Path, facts: Mapping[str, Any]) -> TrainingData:
    """What write_data wrote and returned."""
    sources = facts.get("sources")
    return TrainingData(
        split=map_columns(folder / "split.arrow"),
        images=SourceFolders(sources) if sources else ImageFolder(facts["images"], facts["exif_orientation"]),
        vocabulary=Vocabulary.of_record(json.loads((folder / "vocabulary.json").read_text(encoding="utf-8"))),
        text_bank=read_text_bank(folder / "text_bank.safetensors"),
    )
