"""Detections of an evaluation given to workers: every form's store has all images when they are done."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

from crqat_pipeline.evaluation.detection_store import IMAGES_PER_SHARD
from crqat_pipeline.recipes.detecting import store_of
from crqat_pipeline.recipes.detection_job import DetectionJob, Piece, write_detection_job
from crqat_pipeline.recipes.forms import Source
from crqat_pipeline.recipes.specs import EvaluationSpec, RunSpec
from crqat_pipeline.recipes.stage_data import TrainingData
from crqat_pipeline.recipes.worker_start import work_off
from crqat_pipeline.runtime.facts import content_digest

ENTRY = "crqat_pipeline.recipes.detection_worker:carry_out"
FOLDER = "workers"
PIECES_PER_WORKER = 4
"""At least so many of each form: the last ones are then short."""
logger = logging.getLogger(__name__)


def store_label(form: str, benchmark: str) -> str:
    """Of the detections of a form in a benchmark's images."""
    return f"{form} on {benchmark}"


def detect_on_workers(
    sources: Mapping[str, Source],
    weights: Mapping[str, str],
    benchmarks: Mapping[str, TrainingData],
    spec: EvaluationSpec,
    run: RunSpec,
    resume_folder: Path,
) -> None:
    """Detect with every form in all images that its store (detecting.store_of) lacks.

    weights: digests of forms that are detectors; a graph's is that of its file. Raises what a worker refused, and
    WorkersLostError.
    """
    pieces: list[Piece] = []
    for form, source in sources.items():
        digest = weights.get(form) or content_digest(Path(str(source)).read_bytes())
        for name, data in benchmarks.items():
            pieces += _pieces(form, name, digest, data, spec, run, resume_folder)
    if not pieces:
        return
    folder, workers = resume_folder / FOLDER, run.workers
    logger.info("detection: %d shards on %d workers of %s", len(pieces), workers.num_workers, workers.engine)
    write_detection_job(folder, DetectionJob(sources, benchmarks, spec, run, pieces))
    work_off(ENTRY, folder, run.device, workers, is_group=False)
    shutil.rmtree(folder, ignore_errors=True)


def _pieces(
    form: str, name: str, digest: str, data: TrainingData, spec: EvaluationSpec, run: RunSpec, resume_folder: Path
) -> Iterator[Piece]:
    """Shards of whole batches, so that every image is in the batch that one process would have it in."""
    store = store_of(digest, data, spec, store_label(form, name), resume_folder)
    done = set(store.done().tolist())
    missing = [image_id for image_id in data.split.images.ids.tolist() if image_id not in done]
    wished = min(IMAGES_PER_SHARD, -(-len(missing) // (PIECES_PER_WORKER * run.workers.num_workers)))
    size = max(1, -(-wished // spec.batch_size)) * spec.batch_size
    parts = [tuple(missing[start : start + size]) for start in range(0, len(missing), size)]
    for shard, image_ids in zip(store.new_shards(len(parts)), parts, strict=True):
        yield Piece(form, name, shard, image_ids)
