"""Weights of detectron2's model zoo and training, or of this project, into a TextRetinaNet."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from crqat_pipeline.detectors.detectron2_retinanet.class_weights import as_region_embeddings
from crqat_pipeline.detectors.weights import LoadReport, WeightFile, WeightsRefused, local_file, read_weights
from crqat_pipeline.structures.vocabulary import TextBank

COUNTER = "num_batches_tracked"
CLASS_LAYER = ("head.cls_score.weight", "head.cls_score.bias")
TEXT_SIDE = ("head.logit_scale", "head.bias", "pixels.mean_C11", "pixels.std_C11", *CLASS_LAYER)
SKIP_REASONS = {
    "pixel_": "pixel mean and deviation; those of the options hold",
    "anchor_generator.": "anchors; those of the options hold",
    "head.cls_score.": "class weights of a closed vocabulary; a text bank of its classes expresses them in prompts",
    "linear.": "image classifier",
    "fc": "image classifier",
}


def load_weights(detector: nn.Module, source: str | Path, text_bank: TextBank | None) -> LoadReport:
    """Set the tensors of the detector that the file has; see TextRetinaNet.load_weights.

    Takes a whole RetinaNet of detectron2, its ResNet alone (names that begin with "stem."), or a state dict of this
    project. Raises WeightsRefused, with the detector untouched, when the file is unsafe or lacks or has other layers.
    """
    return load_tensors(detector, read_weights(local_file(source)), text_bank)


def load_tensors(detector: nn.Module, file: WeightFile, text_bank: TextBank | None) -> LoadReport:
    """`load_weights` of a file that was read."""
    expected = detector.state_dict()
    if set(expected) <= set(file.tensors):
        what, keys = "this project's keys", {key: key for key in expected}
    elif "stem.conv1.weight" in file.tensors:
        what = "detectron2's ResNet alone"
        keys = {key: _foreign(key).removeprefix("backbone.bottom_up.") for key in expected if _is_of_resnet(key)}
    else:
        what, keys = "RetinaNet of detectron2", {key: _foreign(key) for key in expected if key not in TEXT_SIDE}
    state = _matching(file, keys, expected)
    if what.startswith("RetinaNet") and text_bank is not None:
        state |= _class_layer(file, expected, text_bank)
    used = {*keys.values(), *(CLASS_LAYER if CLASS_LAYER[0] in state else ())}
    skipped = tuple((key, _reason(key, file)) for key in file.tensors if key not in used)
    detector.load_state_dict({**expected, **state})
    return LoadReport(str(file.path), what, tuple(state), skipped)


def _foreign(key: str) -> str:
    plain = key.replace(".conv.", ".")
    if plain.startswith("backbone."):
        return f"backbone.bottom_up.{plain.removeprefix('backbone.')}"
    return f"backbone.{plain.removeprefix('neck.')}" if plain.startswith("neck.") else plain


def _is_of_resnet(key: str) -> bool:
    return key.startswith("backbone.")


def _matching(file: WeightFile, keys: Mapping[str, str], expected: Mapping[str, Tensor]) -> dict[str, Tensor]:
    missing = [there for here, there in keys.items() if there not in file.tensors and not here.endswith(COUNTER)]
    if missing:
        raise WeightsRefused(
            f"{file.path.name} lacks {', '.join(missing[:3])} and {max(len(missing) - 3, 0)} more. Give a RetinaNet of "
            "detectron2 of the same depth, or choose the detector's options by the file's."
        )
    state, unlike = {}, []
    for here, there in keys.items():
        wanted = expected[here]
        tensor = file.tensors.get(there, torch.zeros(wanted.shape, dtype=wanted.dtype))
        if tensor.shape != wanted.shape:
            unlike.append(f"{there} {list(tensor.shape)} instead of {list(wanted.shape)}")
        else:
            state[here] = tensor.to(wanted.dtype)
    if unlike:
        raise WeightsRefused(
            f"{file.path.name} has other shapes: {', '.join(unlike[:3])}. Choose the detector's options by the file's."
        )
    return state


def _class_layer(file: WeightFile, expected: Mapping[str, Tensor], text_bank: TextBank) -> dict[str, Tensor]:
    absent = [key for key in CLASS_LAYER if key not in file.tensors]
    if absent:
        raise WeightsRefused(f"{file.path.name} lacks {absent[0]}, which a text bank was given for. Leave it out.")
    anchors = expected[CLASS_LAYER[0]].shape[0] // text_bank.embeddings_KD.shape[1]
    weight, bias = as_region_embeddings(
        file.tensors[CLASS_LAYER[0]], file.tensors[CLASS_LAYER[1]], text_bank, anchors, file.path.name
    )
    if weight.shape != expected[CLASS_LAYER[0]].shape:
        raise WeightsRefused(
            f"Texts of length {text_bank.embeddings_KD.shape[1]} do not fit a detector with regions of another length; "
            "set its embedding_dim."
        )
    zero = torch.zeros(())
    return {CLASS_LAYER[0]: weight, CLASS_LAYER[1]: bias, "head.logit_scale": zero, "head.bias": zero.clone()}


def _reason(key: str, file: WeightFile) -> str:
    reason = next((why for start, why in SKIP_REASONS.items() if key.startswith(start)), None)
    if reason is None:
        raise WeightsRefused(f"{file.path.name} has {key}, which no RetinaNet has. Give a RetinaNet of detectron2.")
    return reason
