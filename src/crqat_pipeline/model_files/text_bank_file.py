"""Text banks on disk: vocabularies whose embeddings are at hand without a text encoder.

Shape letters: K prompts, D embedding.
"""

from __future__ import annotations

from pathlib import Path

from crqat_pipeline.model_files.checkpoint_file import bank_from
from crqat_pipeline.model_files.headers import TextBankHeader, check_version, parse_header
from crqat_pipeline.runtime.tensor_file import FORMAT_KEY, VERSION_KEY, read_tensors, write_tensors
from crqat_pipeline.structures.vocabulary import TextBank

FORMAT_NAME, FORMAT_VERSION = "crqat-text-bank", 1
BANK_SUFFIX = "text_bank"
TENSOR_NAME = "embeddings_KD"


def write_text_bank(path: Path, bank: TextBank) -> None:
    """Write to `path`: embeddings_KD as a tensor; prompts, encoder and is_normalized in the header."""
    header = {
        FORMAT_KEY: FORMAT_NAME,
        VERSION_KEY: FORMAT_VERSION,
        "prompts": list(bank.prompts),
        "encoder": bank.encoder,
        "is_normalized": bank.is_normalized,
    }
    write_tensors(path, {TENSOR_NAME: bank.embeddings_KD}, header)


def read_text_bank(path: Path) -> TextBank:
    """What write_text_bank wrote, now or before its format had a version. Raises ValueError for anything else."""
    if not path.is_file():
        raise ValueError(f"No text bank {path}. Check the path, or make one with the pipeline data_prep.")
    try:
        tensors, facts = read_tensors(path)
        header = parse_header(TextBankHeader, facts, path)
        if header.format not in (None, FORMAT_NAME):
            raise ValueError(f"{path} is of the format {header.format!r}.")
        if header.format is not None:
            check_version(path, header.format_version, FORMAT_VERSION)
        bank = bank_from(tensors.get(TENSOR_NAME), header)
    except ValueError as error:
        raise ValueError(f"{path} is not a text bank. {error} Make it with the pipeline data_prep.") from error
    assert bank is not None
    return bank


def find_text_banks(folder: Path) -> dict[str, Path]:
    """Vocabulary name -> file: lvis_text_bank.safetensors is "lvis", text_bank.safetensors is "text_bank"."""
    found = {}
    for path in sorted(folder.glob(f"*{BANK_SUFFIX}.safetensors")):
        name = path.stem.removesuffix(BANK_SUFFIX).rstrip("_")
        found[name or BANK_SUFFIX] = path
    return found
