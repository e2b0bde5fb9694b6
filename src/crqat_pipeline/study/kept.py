"""Files that a study keeps: checkpoints and rows, written whole or not at all."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from crqat_pipeline.model_files import write_checkpoint
from crqat_pipeline.runtime.atomic import atomic_path
from crqat_pipeline.structures.checkpoint import Checkpoint


def keep_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    with atomic_path(path) as temporary:
        write_checkpoint(temporary, checkpoint)


def write_json(path: Path, values: Mapping[str, Any]) -> None:
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(values, indent=1, sort_keys=True), encoding="utf-8")
