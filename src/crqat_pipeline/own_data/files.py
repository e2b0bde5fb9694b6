"""An environment of conf/ on disk: whole or not at all, and never over one that somebody wrote by hand."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from crqat_pipeline.runtime.atomic import atomic_path
from crqat_pipeline.runtime.bounded_yaml import read_yaml

MADE_BY_KEY, MADE_BY = "made_by", "crqat new"
HEADS = {
    "catalog.yml": "What is read, where it lies; nothing is written there.\n"
    "# val_annotations_lvis: an LVIS-format file of the validation photographs adds LVIS figures.",
    "globals.yml": "Results go to data_root.",
    "mlflow.yml": "Runs of this environment stand together in MLflow.",
    "parameters.yml": "What differs from conf/base, whose files say what each value means.\n"
    "# One value for one run: --params; more in docs/how_to/change_parameters.md.",
}
"""File -> the comment at its head."""
WIDTH = 120


def check_free(folder: Path, replace: bool) -> None:
    """Raises ValueError for a folder that is there and may not be replaced."""
    if not folder.exists():
        return
    if not replace:
        raise ValueError(f"{folder} is there already. Take another name, or replace it: --replace.")
    if not is_made_here(folder):
        raise ValueError(f"{folder} was not made by `{MADE_BY}`, so it is not replaced. Take another name.")


def is_made_here(folder: Path) -> bool:
    """Whether an environment was written by this module."""
    try:
        content = read_yaml(folder / "globals.yml")
    except (OSError, ValueError):
        return False
    return isinstance(content, dict) and content.get(MADE_BY_KEY) == MADE_BY


def write_environment(folder: Path, contents: Mapping[str, Mapping[str, Any]]) -> None:
    """contents: file name -> its content. The folder appears when all files are written."""
    new = folder.with_name(f".{folder.name}.{os.getpid()}.tmp")
    try:
        new.mkdir(parents=True)
        for name, content in contents.items():
            text = yaml.dump(dict(content), Dumper=_Plain, sort_keys=False, allow_unicode=True, width=WIDTH)
            (new / name).write_text(f"# {HEADS[name]}\n{text}", encoding="utf-8")
        if folder.exists():
            shutil.rmtree(folder)
        os.replace(new, folder)
    finally:
        shutil.rmtree(new, ignore_errors=True)


def write_annotations(path: Path, content: Mapping[str, Any]) -> None:
    """Images, boxes and categories as JSON."""
    kept = {key: content[key] for key in ("info", "images", "annotations", "categories") if key in content}
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(kept, separators=(",", ":"), ensure_ascii=False), encoding="utf-8")


class _Plain(yaml.SafeDumper):
    """No anchors for values that occur twice: people read and change these files."""

    def ignore_aliases(self, data: Any) -> bool:
        return True
