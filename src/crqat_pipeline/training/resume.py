"""Resumable training state as safetensors: no pickle, written whole or not at all, the last two kept.

Everything that a later step depends on is here: weights, optimizer moments, average, step. Batches and rates are
functions of (seed, step), so a resumed run continues bit for bit.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from crqat_pipeline.runtime.atomic import atomic_path
from crqat_pipeline.runtime.facts import Facts, differences
from crqat_pipeline.runtime.ranks import is_first, text_of_first
from crqat_pipeline.runtime.tensor_file import DIGEST_KEY, TensorFileError, check_digest, content_sha256, save_tensors
from crqat_pipeline.training.ema import WeightAverage

KEPT = 2
WORKERS = "workers"
"""The fact that says on how many workers a training ran; absent on one."""
BITS_ONLY = (WORKERS, "device", "threads")
"""Facts that change the last bits of a training and nothing else."""
PATTERN = "step_*.safetensors"
logger = logging.getLogger(__name__)


@dataclass
class TrainingState:
    """The live objects that a checkpoint is taken of. companion: what goes on beside the steps (training.companion)."""

    model: nn.Module
    optimizer: torch.optim.Optimizer
    average: WeightAverage | None
    history: list[dict[str, float]]
    companion: Mapping[str, Tensor] = field(default_factory=dict)


def _flatten(state: TrainingState) -> dict[str, Tensor]:
    tensors = {f"model/{name}": value for name, value in state.model.state_dict().items()}
    for index, moments in state.optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer/{index}/{key}": torch.as_tensor(value) for key, value in moments.items()}
    if state.average is not None:
        tensors |= {f"average/{name}": value for name, value in state.average.tensors.items()}
    tensors |= {f"companion/{name}": value for name, value in state.companion.items()}
    return {name: value.detach().contiguous().clone() for name, value in tensors.items()}


def save_state(folder: Path, state: TrainingState, step: int, facts: Facts) -> Path:
    """Write the state after `step` steps and drop all but the last two of the same facts.

    Those of other facts go only now: a run that was started by mistake has a few minutes in which it costs nothing.
    """
    path = folder / f"step_{step:08d}.safetensors"
    metadata = {"step": str(step), "facts": json.dumps(dict(facts)), "history": json.dumps(state.history)}
    tensors = _flatten(state)
    with atomic_path(path) as temporary:
        save_tensors(temporary, tensors, metadata | {DIGEST_KEY: content_sha256(tensors, metadata)})
    present = sorted(folder.glob(PATTERN))
    own = [each for each in present if _facts_of(each) == dict(facts)]
    for old in set(present) - set(own[-KEPT:]):
        old.unlink()
    return path


def _facts_of(path: Path) -> dict[str, str] | None:
    """What the checkpoint's run depended on; None for a damaged file."""
    try:
        with safe_open(path, framework="pt") as file:
            return _facts(file.metadata() or {})
    except (SafetensorError, OSError):
        return None


def _facts(metadata: Mapping[str, str]) -> dict[str, str]:
    facts: dict[str, str] = json.loads(metadata.get("facts", "{}"))
    return facts


def _read(path: Path) -> tuple[dict[str, str], dict[str, Tensor]]:
    """Metadata and tensors. Raises TensorFileError for bytes that are not those that were written."""
    with safe_open(path, framework="pt") as file:
        metadata = dict(file.metadata() or {})
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    expected = metadata.pop(DIGEST_KEY, None)
    if expected is not None:  # states of before have none
        check_digest(path, tensors, metadata, expected)
    return metadata, tensors


def _restore(state: TrainingState, tensors: dict[str, Tensor], metadata: dict[str, str]) -> None:
    def under(prefix: str) -> dict[str, Tensor]:
        return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}

    state.model.load_state_dict(under("model/"))
    moments: dict[int, dict[str, Any]] = {}
    for name, value in under("optimizer/").items():
        index, key = name.split("/")
        moments.setdefault(int(index), {})[key] = value
    groups = state.optimizer.state_dict()["param_groups"]
    state.optimizer.load_state_dict({"state": moments, "param_groups": groups})
    if state.average is not None:
        state.average.load(under("average/"))
    for name, value in under("companion/").items():
        state.companion[name].copy_(value)
    state.history[:] = json.loads(metadata["history"])


def load_latest(folder: Path, state: TrainingState, facts: Facts, label: str) -> int:
    """Restore the newest readable checkpoint with the same facts; returns its step, 0 when there is none.

    A damaged file is passed over in favour of the one before it. One with other facts is left out, with a line that
    says what differs; one of another number of workers is used, with a line that says so. On several workers the
    first chooses, and the others read the same file.
    """
    found = _newest(folder, facts, label) if is_first() else None
    name = text_of_first(found[0].name if found else "")
    if not name:
        return 0
    if found is None:
        found = _chosen(folder / name)
    _, metadata, tensors = found
    _restore(state, tensors, metadata)
    return int(metadata["step"])


Found = tuple[Path, dict[str, str], dict[str, Tensor]]


def _newest(folder: Path, facts: Facts, label: str) -> Found | None:
    for path in sorted(folder.glob(PATTERN), reverse=True):
        try:
            metadata, tensors = _read(path)
        except (SafetensorError, OSError, TensorFileError) as error:
            logger.warning("%s: checkpoint %s is damaged (%s) and not used", label, path.name, error)
            continue
        kept = _facts(metadata)
        changed = differences(kept, facts)
        if changed and kept.get(WORKERS) != facts.get(WORKERS):
            changed = differences(_without_bits(kept), _without_bits(facts))
            if not changed:
                told = [facts_of.get(WORKERS, "1") for facts_of in (kept, facts)]
                logger.warning(
                    "%s: checkpoint %s is of %s workers and this training has %s; it goes on, to other last bits than "
                    "one that keeps their number",
                    label,
                    path.name,
                    *told,
                )
        if not changed:
            return path, metadata, tensors
        logger.warning("%s: checkpoint %s is of another training (%s) and not used", label, path.name, changed)
    return None


def _without_bits(facts: Facts) -> dict[str, str]:
    return {name: value for name, value in facts.items() if name not in BITS_ONLY}


def _chosen(path: Path) -> Found:
    """The checkpoint that the first worker chose. Raises ValueError where this worker does not find it."""
    if not path.is_file():
        raise ValueError(
            f"Checkpoints lie where every worker reads them; the first one found {path}, this one does not. Put "
            "data_root on a file system that all machines share."
        )
    return path, *_read(path)
