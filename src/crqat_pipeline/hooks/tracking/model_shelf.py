"""Models of a session in MLflow: logged when their file is written, registered when their figures are known."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlflow.tracking import MlflowClient

from crqat_pipeline.hooks.tracking.champion import AP_TAG, DATA_TAG, register
from crqat_pipeline.hooks.tracking.guard import TrackingGuard
from crqat_pipeline.hooks.tracking.input_digests import md5
from crqat_pipeline.hooks.tracking.unsent import is_pending

logger = logging.getLogger(__name__)

CARD, TRUTH = "model_card", "val_annotations"
"""Entries of the catalog: the text of a version, where a stage writes one, and what its AP was measured on."""


@dataclass(frozen=True)
class Candidate:
    """metadata.champion of an entry of figures: their AP of `form` is that of the file of `entry`."""

    form: str
    entry: str


class ModelShelf:
    """name: of the experiment, and of the registered model. Nothing here raises: a warning says what MLflow lacks."""

    def __init__(self, guard: TrackingGuard, client: MlflowClient | None, experiment_id: str, name: str) -> None:
        self._guard, self._client, self._experiment_id, self._name = guard, client, experiment_id, name

    def log(self, path: Path, run_id: str | None, tags: Mapping[str, str]) -> None:
        """A LoggedModel of this file in the run."""
        if self._client is None or run_id is None:
            return
        from crqat_pipeline.hooks.tracking.logged_model import log_model  # pandas; most stages have no model

        what = f"log the model {path.name}"
        if (
            is_pending(run_id)
            or self._guard.call(lambda: log_model(path, run_id, tags), what, even_if_muted=True) is None
        ):
            logger.warning("MLflow has no model of %s; the file itself is whole.", path)

    def promote(self, figures: Any, candidate: Candidate, catalog: Any, tags: Mapping[str, str]) -> None:
        """Register the candidate's file with its AP; the best version is the champion."""
        client = self._client
        ap = figures.get("AP", {}).get(candidate.form) if isinstance(figures, Mapping) else None
        path = _file_of(catalog, candidate.entry)
        if client is None or ap is None or path is None:
            return
        truth = _file_of(catalog, TRUTH)
        described = {**tags, AP_TAG: f"{ap:.6f}", DATA_TAG: md5(truth) if truth else "unknown"}
        card = _card(catalog, described)

        def registered() -> str:
            return register(client, self._experiment_id, self._name, md5(path), card, described)

        version = self._guard.call(registered, f"register {path.name}", even_if_muted=True)
        if version is None:
            logger.warning("MLflow has no version of %s in the registry %s.", path.name, self._name)


def _file_of(catalog: Any, entry: str) -> Path | None:
    path = Path(str(getattr(catalog.get(entry), "_filepath", None) or "")) if entry in catalog else None
    return path if path is not None and path.is_file() else None


def _card(catalog: Any, tags: Mapping[str, str]) -> str:
    """The stage's own card, or the few lines that are known here."""
    written = _file_of(catalog, CARD)
    if written is not None:
        return written.read_text(encoding="utf-8")
    return (
        f"Packed student at {tags.get('bits', 'unknown')} bits (weights-activations-attention). "
        f"COCO AP {float(tags[AP_TAG]):.3f} on the validation annotations with md5 {tags[DATA_TAG]}. "
        "Training data and parameters are those of the run of int4_export. The licence of published weights that a "
        "student starts from holds for the student too."
    )
