"""What a worker does with the pieces of an evaluation: it detects in one after another, until all are there."""

from __future__ import annotations

from pathlib import Path

from crqat_pipeline.evaluation.detection_store import write_shard
from crqat_pipeline.evaluation.detection_table import DetectionTable
from crqat_pipeline.recipes.detecting import Find, detect_some
from crqat_pipeline.recipes.detection_job import DetectionJob, Piece, read_detection_job
from crqat_pipeline.recipes.forms import form_finder
from crqat_pipeline.recipes.worker_fault import has_fault, told_fault
from crqat_pipeline.runtime.claims import Claims


def carry_out(folder: Path) -> None:
    """Detect in images that no other worker is at; end when every shard is there.

    An error that would come again is written down and ends all workers.
    """
    if has_fault(folder):
        return
    with told_fault(folder):
        job = read_detection_job(folder)
        claims, detecting = Claims(job.run.workers.silence_s), _Detecting(job)

        def take(index: int) -> bool:
            with claims.on(job.pieces[index].shard) as is_ours:
                if is_ours:
                    detecting.write(job.pieces[index])
            return is_ours

        claims.share_out([one.shard for one in job.pieces], take, lambda: has_fault(folder))


class _Detecting:
    """Holds one form at a time: pieces come form by form."""

    def __init__(self, job: DetectionJob) -> None:
        self._job = job
        self._held: tuple[tuple[str, str], Find] | None = None

    def write(self, piece: Piece) -> None:
        job, which = self._job, (piece.form, piece.benchmark)
        if self._held is None or self._held[0] != which:
            self._held = None  # let go of the one before
            data = job.benchmarks[piece.benchmark]
            self._held = which, form_finder(job.sources[piece.form], data, job.spec, job.run.device)
        find, data = self._held[1], job.benchmarks[piece.benchmark]
        found = detect_some(find, data, job.spec, piece.image_ids)
        write_shard(piece.shard, piece.image_ids, DetectionTable.concatenate(table for _, table in found))
