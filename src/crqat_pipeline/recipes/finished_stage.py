"""The result of a training stage, kept beside its checkpoints: with the same inputs it is taken and nothing trained.

It is a file of its own, unknown to DVC, which deletes the stage's outputs before it runs the stage again.
"""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from torch import Tensor

from crqat_pipeline.recipes.code_digest import TRAINING, code_digest
from crqat_pipeline.recipes.stage_data import StageResult
from crqat_pipeline.runtime.atomic import atomic_path
from crqat_pipeline.runtime.facts import Facts, differences
from crqat_pipeline.runtime.tensor_file import content_sha256, save_tensors
from crqat_pipeline.structures.checkpoint import Checkpoint

HEADER_KEY = "crqat_finished"
FILE_NAME = "finished.safetensors"
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class StageKeep:
    """Where a stage keeps what lets it go on. checkpoints: a folder for the training loop; removed when it is done.

    finished: the file of its result; None where the caller keeps results itself. take: whether one that is there may
    be taken.
    """

    checkpoints: Path
    finished: Path | None = None
    take: bool = True

    @classmethod
    def beside(cls, checkpoints: Path, *, take: bool) -> StageKeep:
        """The result lies beside the folder of checkpoints."""
        return cls(checkpoints, checkpoints.with_name(FILE_NAME), take)


def take_finished(keep: StageKeep | None, facts: Facts, label: str) -> StageResult | None:
    """The result that the same facts and the same code gave earlier. None, with the reason in the log, otherwise."""
    if keep is None or keep.finished is None or not keep.finished.is_file():
        return None
    if not keep.take:
        logger.info("%s: trained again, as run.reuse=false asks", label)
        return None
    try:
        header, tensors = _read(keep.finished)
        changed = differences(header["facts"], _with_code(facts))
        if changed:
            logger.info("%s: the result that is there is of another training (%s)", label, changed)
            return None
        result = _checked(header, tensors)
    except (SafetensorError, OSError, ValueError, KeyError, TypeError) as error:
        logger.warning("%s: the result in %s is damaged (%s); trained again", label, keep.finished, error)
        return None
    logger.info("%s: taken as it was trained from the same inputs; to train it again: --params run.reuse=false", label)
    with suppress(OSError):
        keep.checkpoints.rmdir()  # made for this run, and empty
    return result


def keep_finished(keep: StageKeep | None, facts: Facts, result: StageResult) -> StageResult:
    """Write the result, then remove the checkpoints: nobody needs them any more. Returns the result."""
    if keep is None or keep.finished is None:
        return result
    write_result(keep.finished, facts, result)
    shutil.rmtree(keep.checkpoints, ignore_errors=True)
    return result


def write_result(path: Path, facts: Facts, result: StageResult) -> None:
    """A result as a file, whole or not at all."""
    tensors = {name: value.detach().cpu().contiguous().clone() for name, value in result.student.tensors.items()}
    plain = {
        "facts": _with_code(facts),
        "order": list(tensors),
        "metadata": dict(result.student.metadata),
        "reports": {"metrics": result.metrics, "history": result.history, "scales": result.scales},
    }
    header = json.loads(json.dumps(plain))  # as a reader finds it
    header["sha256"] = content_sha256(tensors, header)
    with atomic_path(path) as temporary:
        save_tensors(temporary, tensors, {HEADER_KEY: json.dumps(header)})


def read_result(path: Path) -> StageResult:
    """What write_result wrote. Raises ValueError, KeyError or SafetensorError for anything else."""
    return _checked(*_read(path))


def _checked(header: Mapping[str, Any], tensors: dict[str, Tensor]) -> StageResult:
    if header["sha256"] != content_sha256(tensors, header):
        raise ValueError("its bytes are not those that were written")
    return StageResult(Checkpoint(tensors, header["metadata"]), **header["reports"])


def _with_code(facts: Facts) -> dict[str, str]:
    return {**facts, "code": code_digest(TRAINING)}


def _read(path: Path) -> tuple[Mapping[str, Any], dict[str, Tensor]]:
    with safe_open(path, framework="pt") as file:
        header = json.loads((file.metadata() or {})[HEADER_KEY])
        return header, {name: file.get_tensor(name) for name in header["order"]}
