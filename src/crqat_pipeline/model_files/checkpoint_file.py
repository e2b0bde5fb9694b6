"""Checkpoints on disk: a state dict as safetensors, the facts that rebuild its model as JSON in the header.

A checkpoint may bring a text bank: its embeddings are the tensor TEXT_BANK_TENSOR, its prompts stand in the header.

Shape letters: K prompts, D embedding.
"""

from __future__ import annotations

from pathlib import Path

from torch import Tensor

from crqat_pipeline.detectors.weights.contents import TEXT_BANK_TENSOR
from crqat_pipeline.model_files.headers import BankFacts, CheckpointHeader, check_version, parse_header
from crqat_pipeline.model_files.number_checks import check_finite
from crqat_pipeline.model_files.number_limits import check_lengths
from crqat_pipeline.runtime.tensor_file import FORMAT_KEY, VERSION_KEY, read_tensors, write_tensors
from crqat_pipeline.structures.checkpoint import Checkpoint
from crqat_pipeline.structures.vocabulary import TextBank

FORMAT_NAME, FORMAT_VERSION = "crqat-checkpoint", 1
OF_THE_FILE = (FORMAT_KEY, VERSION_KEY)

__all__ = [
    "TEXT_BANK_TENSOR",
    "bank_from",
    "header_of",
    "read_checkpoint",
    "text_bank_of",
    "weights_of",
    "write_checkpoint",
]


def write_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write to `path`; the same checkpoint gives the same bytes. Wrap it in atomic_path for a file in use."""
    header = {**checkpoint.metadata, FORMAT_KEY: FORMAT_NAME, VERSION_KEY: FORMAT_VERSION}
    write_tensors(path, checkpoint.tensors, header)


def read_checkpoint(path: Path) -> Checkpoint:
    """What write_checkpoint wrote, or a checkpoint of before its format had a version.

    Raises ValueError for a file that is not whole, that changed since it was written, or of another format.
    """
    tensors, header = read_tensors(path)
    if FORMAT_KEY in header:
        if header[FORMAT_KEY] != FORMAT_NAME:
            raise ValueError(f"{path} is no checkpoint; its header says {header[FORMAT_KEY]!r}. Give a checkpoint.")
        check_version(path, header.get(VERSION_KEY), FORMAT_VERSION)
    return Checkpoint(tensors, {key: value for key, value in header.items() if key not in OF_THE_FILE})


def header_of(checkpoint: Checkpoint) -> CheckpointHeader:
    """What a checkpoint says of its detector. Raises ValueError where it says nothing, or not what it must."""
    if "detector" not in checkpoint.metadata:
        raise ValueError(
            f"A checkpoint names its detector; this one records only {sorted(checkpoint.metadata)[:10]}. Convert "
            "foreign weights with `crqat weights FILE --out X.safetensors`."
        )
    return parse_header(CheckpointHeader, checkpoint.metadata, "The checkpoint")


def weights_of(checkpoint: Checkpoint) -> dict[str, Tensor]:
    """The state dict, without the text bank that came with it."""
    return {name: tensor for name, tensor in checkpoint.tensors.items() if name != TEXT_BANK_TENSOR}


def text_bank_of(checkpoint: Checkpoint) -> TextBank | None:
    """The prompts that came with a checkpoint, if any. Raises ValueError for embeddings that do not fit them."""
    return bank_from(checkpoint.tensors.get(TEXT_BANK_TENSOR), header_of(checkpoint).text_bank)


def bank_from(embeddings_KD: Tensor | None, facts: BankFacts | None) -> TextBank | None:
    """A text bank of tensor and facts, None where the file has none. Raises ValueError where they do not fit."""
    if facts is None:
        return None
    if embeddings_KD is None:
        raise ValueError(f"A text bank has embeddings; the file names {len(facts.prompts)} prompts without any.")
    if not embeddings_KD.is_floating_point() or embeddings_KD.ndim != 2 or 0 in embeddings_KD.shape:
        raise ValueError(
            f"Embeddings of a text bank are floats (prompts, width); got {embeddings_KD.dtype} "
            f"{tuple(embeddings_KD.shape)}. Make the text bank again."
        )
    check_finite({TEXT_BANK_TENSOR: embeddings_KD})
    check_lengths(TEXT_BANK_TENSOR, embeddings_KD, facts.prompts, facts.is_normalized)
    return TextBank(facts.prompts, embeddings_KD, facts.encoder, facts.is_normalized)
