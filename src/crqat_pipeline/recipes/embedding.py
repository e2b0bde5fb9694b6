"""Words as a text bank: embedded by CLIP where its weights are at hand, or looked up in a file of embeddings."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from crqat_pipeline.model_files.text_bank_file import write_text_bank
from crqat_pipeline.runtime.atomic import atomic_path
from crqat_pipeline.structures.vocabulary import TextBank
from crqat_pipeline.text_encoders import TextEncoder
from crqat_pipeline.text_encoders.embedding_file import read_row_names
from crqat_pipeline.text_encoders.table import TEXT_ENCODERS, OpenClipSpec, PrecomputedSpec, TextEncoderSpec

CLIP_SUFFIXES = (".safetensors", ".pt", ".pth", ".bin")
LARGEST_LIST_BYTES = 32 * 2**20


@dataclass(frozen=True)
class TextSource:
    """What a person names as the text encoder. text_encoder: a row of TEXT_ENCODERS, JSON with its name and options, or
    a file of CLIP weights. embeddings: a file of embeddings or text bank; names: of its rows, where it has none itself.
    """

    text_encoder: str | None = None
    embeddings: Path | None = None
    names: Path | None = None

    def __post_init__(self) -> None:
        if self.text_encoder is not None and self.embeddings is not None:
            raise ValueError("Embeddings come from one place; got a text encoder and a file of embeddings. Give one.")
        if self.names is not None and self.embeddings is None:
            raise ValueError(f"Names of rows belong to a file of embeddings; got {self.names} alone. Give both.")

    @property
    def is_named(self) -> bool:
        return self.text_encoder is not None or self.embeddings is not None

    @property
    def files(self) -> tuple[Path, ...]:
        """What it reads on this machine, weights of the encoder too."""
        named = [value for value in self.spec.model_dump().values() if isinstance(value, str | Path)]
        return tuple(path for path in map(Path, named) if path.is_file())

    @property
    def spec(self) -> TextEncoderSpec:
        """The encoder as parameters describe it; CLIP ViT-B/32, YOLO-World's, where nothing is named."""
        if self.embeddings is not None:
            return PrecomputedSpec(embeddings=self.embeddings, names=self.names)  # type: ignore[call-arg]
        text = self.text_encoder
        if text is None:
            return OpenClipSpec()  # type: ignore[call-arg]
        if Path(text).suffix in CLIP_SUFFIXES:
            if not Path(text).is_file():
                raise ValueError(f"No file of CLIP weights at {text}. Check the path.")
            return OpenClipSpec(pretrained=text)  # type: ignore[call-arg]
        return _row(text)


def read_words(path: Path) -> tuple[str, ...]:
    """The words of a text file, one a line, or the names of a JSON file (a list, or annotations), each once.

    Raises ValueError for a file without words, or one that is no text.
    """
    if not path.is_file():
        raise ValueError(f"No list of words at {path}. Check the path.")
    if path.stat().st_size > LARGEST_LIST_BYTES:
        raise ValueError(f"A list of words has at most {LARGEST_LIST_BYTES >> 20} MB; {path} is larger. Split it.")
    if path.suffix in (".json", ".gz"):
        words = [names[0] for names in read_row_names(path)]
    else:
        try:
            words = path.read_text(encoding="utf-8-sig").splitlines()
        except UnicodeDecodeError as error:
            raise ValueError(
                f"A list of words is text in UTF-8; {path} is not ({error.reason}). Save it so."
            ) from error
    found = tuple(dict.fromkeys(word.strip() for word in words if word.strip()))
    if not found:
        raise ValueError(f"A list of words has one a line; {path} has none.")
    return found


def embed_words(words: Sequence[str], source: TextSource) -> TextBank:
    """Raises ValueError that names the words without an embedding, the nearest known ones, and the ways out."""
    return _built(source).encode(words)


def write_bank(bank: TextBank, target: Path) -> None:
    """Write the bank, whole or not at all."""
    with atomic_path(target) as temporary:
        write_text_bank(temporary, bank)


def _built(source: TextSource) -> TextEncoder:
    try:
        return source.spec.build()
    except OSError as error:
        raise ValueError(
            f"{error} Files that are here already: --text-encoder WEIGHTS, or --embeddings FILE --names JSON."
        ) from error


def _row(text: str) -> TextEncoderSpec:
    try:
        row: dict[str, Any] = json.loads(text) if text.startswith("{") else {"name": text}
        spec: TextEncoderSpec = TypeAdapter(TextEncoderSpec).validate_python(row)
        return spec
    except (ValidationError, ValueError) as error:
        faults = (
            [f"{'.'.join(map(str, one['loc'][1:]))}: {one['msg']}" for one in error.errors()]
            if isinstance(error, ValidationError)
            else [str(error)]
        )
        raise ValueError(
            f"A text encoder is one of {', '.join(TEXT_ENCODERS)}, JSON with its name and options, or a file of CLIP "
            f"weights ({', '.join(CLIP_SUFFIXES)}); got {text}: {'; '.join(faults)}."
        ) from error
