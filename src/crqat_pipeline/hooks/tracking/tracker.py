"""The `tracker` input of training nodes: live curves and files, into the run of the node's stage."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from crqat_pipeline.hooks.tracking.run_writer import RunWriter

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Place:
    """Where values belong: a run (None without tracking) and the prefix of their names.

    The prefix is what stands between the stage and the node in a namespace: node `baselines.qat.train` of stage
    `baselines` reports `qat/loss`, so that several trainings of one stage keep their curves apart.
    """

    writer: RunWriter
    run_id: str | None
    prefix: str


class Tracker:
    """Never raises. `place()` says where values of the node that is running belong."""

    def __init__(self, place: Callable[[], Place]) -> None:
        self._place = place

    def metrics(self, values: Mapping[str, float], step: int = 0) -> None:
        """Numbers by name at a step; shown at once."""
        place = self._place()
        place.writer.metrics(place.run_id, {place.prefix + name: value for name, value in values.items()}, step)

    def artifact(self, path: str | Path) -> None:
        """A file to keep with the run; a missing file is reported, not raised."""
        if not Path(path).is_file():
            logger.warning("An artifact must be a file; there is none at %s.", path)
            return
        place = self._place()
        place.writer.artifact(place.run_id, Path(path), place.prefix.rstrip("/") or None)

    def tags(self, values: Mapping[str, object]) -> None:
        """Texts to filter runs by."""
        place = self._place()
        place.writer.tags(place.run_id, {name: str(value) for name, value in values.items()})
