"""Text banks on disk: vocabularies whose embeddings are at hand without a text encoder.

Shape letters: K prompts, D embedding.
"""

from __future__ import annotations

import json
from pathlib import Path

from safetensors import SafetensorError, safe_open

from crqat_pipeline.structures.vocabulary import TextBank

BANK_SUFFIX = "text_bank"
TENSOR_NAME = "embeddings_KD"


def read_text_bank(path: Path) -> TextBank:
    """A text bank as the pipelines store it: embeddings_KD, and prompts, encoder, is_normalized in the header."""
    if not path.is_file():
        raise ValueError(f"No text bank {path}. Check the path, or make one with the pipeline data_prep.")
    try:
        with safe_open(path, framework="pt") as file:
            facts = json.loads((file.metadata() or {})["crqat"])
            embeddings_KD = file.get_tensor(TENSOR_NAME)
        return TextBank(tuple(facts["prompts"]), embeddings_KD, facts["encoder"], facts["is_normalized"])
    except (SafetensorError, OSError, KeyError, ValueError) as error:
        raise ValueError(f"{path} is not a text bank: {error}. Make it again with the pipeline data_prep.") from error


def find_text_banks(folder: Path) -> dict[str, Path]:
    """Vocabulary name -> file: lvis_text_bank.safetensors is "lvis", text_bank.safetensors is "text_bank"."""
    found = {}
    for path in sorted(folder.glob(f"*{BANK_SUFFIX}.safetensors")):
        name = path.stem.removesuffix(BANK_SUFFIX).rstrip("_")
        found[name or BANK_SUFFIX] = path
    return found
