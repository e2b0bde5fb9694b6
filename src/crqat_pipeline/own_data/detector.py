"""The detector and its teacher: told by ready weights, by name, or the small one that can be trained in minutes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crqat_pipeline.detectors.family import ForeignWeights
from crqat_pipeline.detectors.foreign_weights import read_foreign_weights
from crqat_pipeline.detectors.table import SMALL_DETECTOR, family_of
from crqat_pipeline.detectors.weights import WeightsRefused
from crqat_pipeline.detectors.weights.download import cached_file
from crqat_pipeline.model_files.checkpoint_file import header_of, read_checkpoint, text_bank_of
from crqat_pipeline.structures.vocabulary import TextBank

PUBLISHED_ENCODER = "open_clip:ViT-B-32-quickgelu:openai"
CLIP_DIM = 512


@dataclass(frozen=True)
class ChosenDetector:
    """A row of the table of detectors. weights: ready ones, None where the teacher is trained. bank: prompts and
    embeddings that came with the weights. family: the row's family.
    """

    name: str
    options: Mapping[str, Any]
    weights: str | None
    bank: TextBank | None
    family: str
    note: str

    def options_for(self, width: int | None) -> dict[str, Any]:
        """The row's options; an untrained detector takes the width of the text encoder's embeddings where it can."""
        option = family_of(self.name).embedding_option
        if self.weights is not None or width is None or option is None:
            return dict(self.options)
        return {**self.options, option: width}


def choose_detector(name: str | None, weights: str | None) -> ChosenDetector:
    """Raises ValueError for a detector that is not there, weights that cannot be read, or that are another's."""
    if weights is None:
        chosen = name or SMALL_DETECTOR
        note = f"{chosen}, trained here from scratch"
        return ChosenDetector(chosen, {}, None, None, family_of(chosen).name, note)
    path = cached_file(weights)
    if path is None or not path.is_file():
        if "://" not in weights:
            raise ValueError(f"No weights at {weights}. Check the path.")
        if name is None:
            raise ValueError(
                f"{weights} is not on this machine yet, so it cannot tell its detector. Name it: --detector."
            )
        return ChosenDetector(
            name, {}, weights, None, family_of(name).name, f"{name}, weights fetched at the first run"
        )
    row, options, bank = _row_of(path, name)
    if name is not None and name != row:
        raise ValueError(
            f"{weights} holds {row}; got --detector {name}. Leave the option out, or give its own weights."
        )
    prompts = "" if bank is None else f", with {len(bank.prompts)} prompts"
    return ChosenDetector(
        row, options, weights, bank, family_of(row).name, f"{row}, ready weights {path.name}{prompts}"
    )


def _row_of(path: Path, name: str | None) -> tuple[str, Mapping[str, Any], TextBank | None]:
    own = _own_checkpoint(path)
    if own is not None:
        return own
    try:
        found = read_foreign_weights(path)
    except WeightsRefused:
        if name is None:
            raise
        family_of(name)
        return name, {}, None
    return found.detector_name, dict(found.detector_options), _bank_of(found)


def _own_checkpoint(path: Path) -> tuple[str, Mapping[str, Any], TextBank | None] | None:
    """None for a file that is no checkpoint of ours."""
    if path.suffix != ".safetensors":
        return None
    try:
        checkpoint = read_checkpoint(path)
        header = header_of(checkpoint)
    except ValueError:
        return None
    if header.quantization is not None:
        raise ValueError(f"A teacher is in full precision; {path} is quantized. Give the weights it was made of.")
    return header.detector.name, dict(header.detector.options), text_bank_of(checkpoint)


def _bank_of(found: ForeignWeights) -> TextBank | None:
    embeddings_KD = found.text_embeddings_KD
    if embeddings_KD is None or not found.prompts:
        return None
    encoder = PUBLISHED_ENCODER if embeddings_KD.shape[1] == CLIP_DIM else "foreign"
    return TextBank(found.prompts, embeddings_KD.float(), encoder, is_normalized=False)
