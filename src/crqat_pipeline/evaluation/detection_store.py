"""Detections of a long evaluation, kept on disk as they come: a killed one goes on where it stopped."""

from __future__ import annotations

import json
import logging
import re
import shutil
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from crqat_pipeline.evaluation.detection_table import DetectionTable, IntArray
from crqat_pipeline.runtime.atomic import atomic_path
from crqat_pipeline.runtime.facts import Facts, differences
from crqat_pipeline.runtime.progress import progress

FACTS_FILE = "run.json"
IMAGES_PER_SHARD = 256
logger = logging.getLogger(__name__)
SHARD_NAME = re.compile(r"shard-(\d{6})\.npz")


class DetectionStore:
    """A folder of shards. facts: what the detections depend on (weights, vocabulary, thresholds), as JSON-able data.

    Opening a folder that was begun with other facts raises ValueError: its detections would be of another run.
    """

    def __init__(self, folder: str | Path, facts: Mapping[str, Any]) -> None:
        self.folder = Path(folder)
        wanted = json.loads(json.dumps(dict(facts)))
        path = self.folder / FACTS_FILE
        if path.exists():
            kept = json.loads(path.read_text(encoding="utf-8"))
            changed = [
                f"{key}: {kept.get(key)!r} there, {wanted.get(key)!r} now"
                for key in sorted(kept.keys() | wanted.keys())
                if kept.get(key) != wanted.get(key)
            ]
            if changed:
                raise ValueError(
                    f"Detections in {self.folder} are of another run ({'; '.join(changed)}). "
                    "Choose another folder, or delete this one to start again."
                )
        else:
            with atomic_path(path) as temporary:
                temporary.write_text(json.dumps(wanted, indent=2, sort_keys=True) + "\n", encoding="utf-8")

    def shards(self) -> list[Path]:
        """The shard files, oldest first."""
        return sorted(path for path in self.folder.iterdir() if SHARD_NAME.fullmatch(path.name))

    def done(self) -> IntArray:
        """Ids of the images that are finished, those without detections too."""
        parts = [_columns(path, "done_image_ids")[0] for path in self.shards()]
        return np.concatenate([np.zeros(0, np.int64), *parts])

    def append(self, image_ids: Sequence[int], table: DetectionTable) -> None:
        """Add finished images and their detections as one shard; it appears whole or not at all."""
        (path,) = self.new_shards(1)
        write_shard(path, image_ids, table)

    def new_shards(self, count: int) -> list[Path]:
        """Paths for that many further shards, in order; several processes may write them, each a shard of its own."""
        shards = self.shards()
        first = int(SHARD_NAME.fullmatch(shards[-1].name)[1]) + 1 if shards else 0  # type: ignore[index]
        return [self.folder / f"shard-{number:06d}.npz" for number in range(first, first + count)]

    def table(self, image_ids: Sequence[int]) -> DetectionTable:
        """The detections of these images, in the order of the ids, whatever the shards they came in.

        Raises ValueError if some are not finished.
        """
        missing = np.setdiff1d(np.asarray(image_ids, np.int64), self.done())
        if len(missing):
            raise ValueError(
                f"{len(missing)} images of {self.folder} are not finished: {missing[:5].tolist()}. Go on with the run."
            )
        names = ("image_ids", "category_ids", "boxes_xywh", "scores")
        whole = DetectionTable.concatenate(DetectionTable(*_columns(path, *names)) for path in self.shards())
        position = {image_id: order for order, image_id in enumerate(image_ids)}
        rank_M = np.array([position.get(one, -1) for one in whole.image_ids_M.tolist()], np.int64)
        order = np.argsort(rank_M, kind="stable")
        return whole.take(order[rank_M[order] >= 0])


def write_shard(path: Path, image_ids: Sequence[int], table: DetectionTable) -> None:
    """Finished images and their detections as a file that appears whole. Raises ValueError for other images'."""
    strangers = np.setdiff1d(table.image_ids_M, np.asarray(image_ids, np.int64))
    if len(strangers):
        raise ValueError(f"A shard holds detections of its own images; got images {strangers[:5].tolist()} beside.")
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(
            file,
            done_image_ids=np.asarray(image_ids, np.int64),
            image_ids=table.image_ids_M,
            category_ids=table.category_ids_M,
            boxes_xywh=table.boxes_xywh_M4,
            scores=table.scores_M,
        )


def _columns(path: Path, *names: str) -> list[Any]:
    try:
        with np.load(path, allow_pickle=False) as file:
            return [file[name] for name in names]
    except (OSError, EOFError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise ValueError(
            f"Detections file {path} is damaged ({error}). Delete it; its images are done again."
        ) from error


def open_store(folder: Path, facts: Facts, label: str) -> DetectionStore:
    """The store of this folder, begun anew where it holds detections of other facts; the log says what differs."""
    try:
        kept = json.loads((folder / FACTS_FILE).read_text(encoding="utf-8"))
        changed = differences(kept, facts)
    except FileNotFoundError:
        changed = ""
    except (OSError, ValueError, AttributeError):
        changed = f"{FACTS_FILE} is damaged"
    if changed:
        logger.info("%s: detections that are there are of another run (%s); detected again", label, changed)
        shutil.rmtree(folder)
    return DetectionStore(folder, facts)


def detect_with_resume(
    store: DetectionStore,
    image_ids: Sequence[int],
    detect: Callable[[Sequence[int]], Iterable[tuple[int, DetectionTable]]],
    images_per_shard: int = IMAGES_PER_SHARD,
    label: str = "detect",
) -> DetectionTable:
    """The detections of all images; those that the store has already are not asked for again.

    detect: given the ids still to do, yields (image id, its detections) in that order, in batches of its own.
    Every images_per_shard images a shard is written, so at most that much work is lost when the run is killed.
    """
    finished = set(store.done().tolist())
    remaining = [image_id for image_id in image_ids if image_id not in finished]
    if finished and not remaining:
        logger.info("%s: taken as it was detected from the same inputs", label)
    found = progress(detect(remaining), label, total=len(remaining), unit="image") if remaining else iter(())
    for ids, tables in _in_shards(found, images_per_shard):
        store.append(ids, DetectionTable.concatenate(tables))
    return store.table(image_ids)


def _in_shards(
    found: Iterator[tuple[int, DetectionTable]], images_per_shard: int
) -> Iterator[tuple[list[int], list[DetectionTable]]]:
    ids: list[int] = []
    tables: list[DetectionTable] = []
    for image_id, table in found:
        ids.append(image_id)
        tables.append(table)
        if len(ids) == images_per_shard:
            yield ids, tables
            ids, tables = [], []
    if ids:
        yield ids, tables
