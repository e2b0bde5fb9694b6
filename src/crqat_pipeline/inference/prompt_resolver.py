"""From prompts to embeddings: out of text banks at hand, or by the text encoder of the model.

Shape letters: K prompts, D embedding.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from crqat_pipeline.inference.runnable import ModelFacts
from crqat_pipeline.model_files.text_bank_file import read_text_bank
from crqat_pipeline.structures.vocabulary import TextBank
from crqat_pipeline.text_encoders import TextEncoder, build_text_encoder
from crqat_pipeline.text_encoders.precomputed import made_by

MODEL_VOCABULARY = "model"
MAX_PROMPT_BYTES = 2**20


def split_prompts(text: str) -> tuple[str, ...]:
    """ "red lamp, stray cat" to its prompts, each once. Raises ValueError if one is empty."""
    return tuple(dict.fromkeys(check_prompts([prompt.strip() for prompt in text.split(",")])))


def read_prompts(path: Path) -> tuple[str, ...]:
    """The prompts of a text file in UTF-8, one a line, each once; empty lines and those that begin with # are left out.

    Raises ValueError that names the file for one that is not there, no such text, above 1 MB, or without prompts.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MAX_PROMPT_BYTES + 1)
        if len(content) > MAX_PROMPT_BYTES:
            raise ValueError(f"{path} has more than {MAX_PROMPT_BYTES >> 20} MB. Give a file with a prompt a line.")
        lines = [line.strip() for line in content.decode("utf-8-sig").splitlines()]
    except OSError as error:
        raise ValueError(f"No file of prompts {path} ({error.strerror}). Check the path.") from error
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{path} is no text in UTF-8 ({error.reason} at byte {error.start}). Save it as such."
        ) from error
    prompts = tuple(dict.fromkeys(line for line in lines if line and not line.startswith("#")))
    if not prompts:
        raise ValueError(f"{path} names nothing. Write a prompt a line.")
    return prompts


def check_prompts(prompts: Sequence[str]) -> Sequence[str]:
    """The prompts themselves. Raises ValueError for none, for an empty one and for a text in place of a list."""
    if isinstance(prompts, str):
        raise ValueError(f"Prompts are a list of texts; got the text {prompts!r}. Write [{prompts!r}].")
    if not prompts or any(not prompt.strip() for prompt in prompts):
        raise ValueError(f"Prompts must be texts that name something; got {list(prompts)!r}. Leave out empty ones.")
    return prompts


class PromptResolver:
    """Knows a model's own bank, named vocabularies and, if there is one, a text encoder."""

    def __init__(
        self,
        facts: ModelFacts,
        vocabularies: Mapping[str, Path] | None = None,
        text_encoder: TextEncoder | None = None,
    ) -> None:
        self._facts, self._files, self._encoder = facts, dict(vocabularies or {}), text_encoder
        self._banks: dict[str, TextBank] = {}
        if facts.text_bank is not None:
            self._banks[MODEL_VOCABULARY] = facts.text_bank

    @property
    def vocabularies(self) -> tuple[str, ...]:
        """Names that `resolve` takes as vocabulary."""
        return tuple(dict.fromkeys((*self._banks, *self._files)))

    def resolve(self, prompts: Sequence[str] | None, vocabulary: str | Path | None) -> TextBank:
        """The bank of these prompts, in their order; without prompts, the vocabulary (by default the model's own).

        Raises ValueError for prompts that no bank holds and no encoder is there for, naming the vocabularies at hand;
        for an unknown vocabulary; and for embeddings that do not fit the model.
        """
        bank = self._bank(vocabulary)
        if prompts is None:
            if bank is None:
                raise ValueError(f"This model came without prompts of its own. Give prompts. {self._at_hand()}")
            return self._fitting(bank)
        check_prompts(prompts)
        rows = rows_by_text(bank) if bank is not None else {}
        missing = [prompt for prompt in prompts if _key(prompt) not in rows]
        found = self._encode(missing, bank) if missing else None
        if bank is None or len(missing) == len(prompts):
            assert found is not None
            return self._fitting(found)
        embeddings = [
            found.embeddings_KD[missing.index(prompt)]
            if found is not None and prompt in missing
            else bank.embeddings_KD[rows[_key(prompt)]]
            for prompt in prompts
        ]
        stacked_KD: Tensor = torch.stack(embeddings)
        return self._fitting(TextBank(tuple(prompts), stacked_KD, bank.encoder, bank.is_normalized))

    def _bank(self, vocabulary: str | Path | None) -> TextBank | None:
        if vocabulary is None:
            return self._banks.get(MODEL_VOCABULARY)
        name = str(vocabulary)
        if name not in self._banks:
            path = self._files.get(name, Path(name))
            if name not in self._files and path.suffix != ".safetensors":
                raise ValueError(f"Unknown vocabulary {name!r}. {self._at_hand()}")
            self._banks[name] = read_text_bank(path)
        return self._banks[name]

    def _encode(self, prompts: list[str], bank: TextBank | None) -> TextBank:
        if self._encoder is None:
            self._encoder = self._build_encoder(prompts, bank)
        found = self._encoder.encode(prompts)
        own = bank if bank is not None else self._facts.text_bank
        if own is not None and _maker(own.encoder) != _maker(found.encoder):
            raise ValueError(
                f"No embeddings for {', '.join(map(repr, prompts[:5]))}: the known prompts were embedded by "
                f"{own.encoder!r}, the text encoder given is {found.encoder!r}, and embeddings of two encoders cannot "
                f"be compared.{_nearest(prompts[0], bank)} Use the encoder that made them; for a file of embeddings "
                "name it in made_by of data_prep.text_encoders."
            )
        return found

    def _build_encoder(self, prompts: list[str], bank: TextBank | None) -> TextEncoder:
        spec = self._facts.text_encoder or _open_clip_row(bank)
        shown = ", ".join(map(repr, prompts[:5])) + (" …" if len(prompts) > 5 else "")
        if spec is None:
            raise ValueError(
                f"No embeddings for {shown}: no text encoder is at hand.{_nearest(prompts[0], bank)} {self._at_hand()} "
                "Or give a text encoder (--text-encoder)."
            )
        options = {key: value for key, value in spec.items() if key != "name"}
        try:
            return build_text_encoder(spec["name"], **options)
        except (OSError, ImportError, ValueError) as error:
            raise ValueError(
                f"No embeddings for {shown}: the text encoder {spec['name']!r} is not available ({error})."
                f"{_nearest(prompts[0], bank)} {self._at_hand()}"
            ) from error

    def _fitting(self, bank: TextBank) -> TextBank:
        width = bank.embeddings_KD.shape[1]
        if width != self._facts.embedding_dim:
            raise ValueError(
                f"This model compares with embeddings of {self._facts.embedding_dim} numbers; those of "
                f"{bank.encoder!r} have {width}. The vocabulary belongs to another model: embed it with its encoder."
            )
        own = self._facts.text_bank
        if own is not None and _maker(own.encoder) != _maker(bank.encoder):
            raise ValueError(
                f"This model was trained with the text encoder {own.encoder!r}; the vocabulary was embedded with "
                f"{bank.encoder!r}. Embed it again with the model's encoder."
            )
        return bank

    def _at_hand(self) -> str:
        names = self.vocabularies
        return f"Vocabularies at hand: {', '.join(names)}." if names else "No vocabulary is at hand."


def _key(prompt: str) -> str:
    return prompt.strip().lower()


def rows_by_text(bank: TextBank) -> dict[str, int]:
    """Prompt in small letters -> its first row."""
    rows: dict[str, int] = {}
    for row, prompt in enumerate(bank.prompts):
        rows.setdefault(_key(prompt), row)
    return rows


def _nearest(prompt: str, bank: TextBank | None) -> str:
    near = difflib.get_close_matches(_key(prompt), rows_by_text(bank), n=3) if bank is not None else []
    return f" Nearest known prompts to {prompt!r}: {', '.join(near)}." if near else ""


def _maker(encoder: str) -> str:
    """The kind of encoder whose numbers a bank holds; a file of embeddings whose maker nobody named is its own."""
    return (made_by(encoder) or encoder).partition(":")[0]


def _open_clip_row(bank: TextBank | None) -> dict[str, Any] | None:
    """The row of TEXT_ENCODERS that a bank's encoder name stands for, where the name says enough."""
    fields = (made_by(bank.encoder) or bank.encoder).split(":") if bank is not None else []
    if len(fields) < 3 or fields[0] != "open_clip":
        return None
    return {"name": "open_clip", "model_name": fields[1], "pretrained": fields[2]}
