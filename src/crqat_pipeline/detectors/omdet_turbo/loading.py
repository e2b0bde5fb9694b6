"""Weights of transformers' OmDetTurboForObjectDetection into this project's detector.

Files: safetensors under transformers' own keys, such as omlab/omdet-turbo-swin-tiny-hf. The released decoder also reads
a task sentence. Ours is fixed: TASK, which the file's own text encoder embeds while loading.

Shape letters: T tokens of the task, D embedding.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from crqat_pipeline.detectors.omdet_turbo.text_model import encode_tokens, text_tensors
from crqat_pipeline.detectors.weights import LoadReport, WeightsRefused, local_file, read_weights

TASK = "Detect all objects."
TASK_TOKENS = (49406, 22744, 615, 13770, 269, 49407)
"""TASK in CLIP's vocabulary, between its start and end tokens."""
TASK_KEY = "head.task_tokens"
WEIGHTS_NAME = "model.safetensors"
RENAMED = {
    "backbone.body.": "vision_backbone.vision_backbone._backbone.",
    "backbone.layer_norms.": "vision_backbone.layer_norms.",
    "neck.hybrid.": "encoder.",
    "head.": "decoder.",
}
SKIPPED = {
    "language_backbone.": "text encoder: used for the task sentence",
    ".relative_position_index": "computed",
    ".attn_mask": "computed",
}
COUNTER = "num_batches_tracked"


def load_weights(detector: nn.Module, source: str | Path) -> LoadReport:
    """Set every tensor of the detector from a folder, a .safetensors file, or hf://owner/repository[/file].

    Raises WeightsRefused, with the detector untouched, when a tensor is missing, surplus or of another shape.
    """
    path = weight_path(source)
    file = read_weights(path)
    state, report = translate(path, file.tensors, detector.state_dict())
    detector.load_state_dict(state)
    return report


def weight_path(source: str | Path) -> Path:
    """The file of a source; in a folder or a repository that of transformers' own name."""
    address = str(source)
    if address.startswith("hf://") and address.count("/") == 3:
        return local_file(f"{address}/{WEIGHTS_NAME}")
    path = local_file(source)
    return path / WEIGHTS_NAME if path.is_dir() else path


def translate(
    path: Path, tensors: Mapping[str, Tensor], expected: Mapping[str, Tensor]
) -> tuple[dict[str, Tensor], LoadReport]:
    """The file's tensors under the keys of `expected`, which may live on the meta device, and what was done."""
    check_is_omdet(path, tensors)
    keys = {key: foreign_key(key) for key in expected if key != TASK_KEY}
    surplus = [key for key in tensors if key not in set(keys.values())]
    skipped = tuple((key, reason) for key in surplus for part, reason in SKIPPED.items() if part in key)
    unknown = set(surplus) - {key for key, _ in skipped}
    missing = [there for there in keys.values() if there not in tensors and not there.endswith(COUNTER)]
    _refuse_if(path, "has unknown", sorted(unknown))
    _refuse_if(path, "lacks", missing)
    state = {here: tensors[there] for here, there in keys.items() if there in tensors}
    state |= {here: torch.zeros((), dtype=torch.int64) for here in keys if here not in state}
    state[TASK_KEY] = _task(path, tensors, expected[TASK_KEY])
    _refuse_if(path, "has other shapes:", list(_unlike(state, expected)))
    state = {here: tensor.to(expected[here].dtype) for here, tensor in state.items()}
    return state, LoadReport(str(path), "OmDet-Turbo of transformers", tuple(state), skipped)


def check_is_omdet(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Raises WeightsRefused for a file that is no OmDet-Turbo of transformers."""
    if not any(key.startswith("vision_backbone.") for key in tensors):
        raise WeightsRefused(
            f"{path.name} is no OmDet-Turbo of transformers: it has no tensor under vision_backbone. Give the "
            "safetensors file or folder of OmDetTurboForObjectDetection.save_pretrained."
        )


def foreign_key(key: str) -> str:
    """transformers' name of a tensor of this project's detector."""
    return next(there + key.removeprefix(here) for here, there in RENAMED.items() if key.startswith(here))


def _task(path: Path, tensors: Mapping[str, Tensor], expected_TD: Tensor) -> Tensor:
    text = text_tensors(tensors)
    if not text:
        raise WeightsRefused(
            f"{path.name} lacks its text encoder (language_backbone), which embeds the task {TASK!r}. Give the whole "
            "model's file."
        )
    tokens_TD = encode_tokens(text, [TASK_TOKENS], path.parent)[0]
    if tokens_TD.shape != expected_TD.shape:
        raise WeightsRefused(
            f"The text encoder of {path.name} gives embeddings of {tokens_TD.shape[1]} numbers; this detector compares "
            f"with {expected_TD.shape[1]}. Set embedding_dim to the file's."
        )
    return tokens_TD


def _unlike(state: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> Iterator[str]:
    for key, tensor in state.items():
        if tensor.shape != expected[key].shape:
            yield f"{key} {list(tensor.shape)} instead of {list(expected[key].shape)}"


def _refuse_if(path: Path, verb: str, keys: list[str]) -> None:
    if keys:
        more = f" and {len(keys) - 3} more" if len(keys) > 3 else ""
        raise WeightsRefused(
            f"{path.name} (OmDet-Turbo of transformers) {verb} {', '.join(keys[:3])}{more}. It is cut, or of another "
            "size than this detector; omdet_turbo_tiny is the released one."
        )
