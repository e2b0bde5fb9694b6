"""What an exported graph says of itself: one JSON text in the metadata of the ONNX file, written and read here.

The text holds a digest of the file: sha256 over all its bytes with the 64 digits of the digest itself written as zeros.

Shape letters: K prompts, D embedding.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import logging
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictInt

from crqat_pipeline.model_files.checkpoint_file import bank_from
from crqat_pipeline.model_files.headers import BankFacts, ExporterFacts, Name, check_version, parse_header
from crqat_pipeline.runtime.bounded_json import parse_json
from crqat_pipeline.runtime.tensor_file import HEADER_KEY as METADATA_KEY
from crqat_pipeline.structures.vocabulary import TextBank

FORMAT_VERSION = 1
NO_DIGEST = "0" * 64
CALL_MARK = "#"
log = logging.getLogger(__name__)

__all__ = [
    "METADATA_KEY",
    "OnnxFacts",
    "bank_facts",
    "call_of_key",
    "key_of_call",
    "parse_onnx_facts",
    "signed",
    "verify",
]


class OnnxBankFacts(BankFacts):
    """embeddings: base64 of (K, D) little-endian float32."""

    embeddings: str


class OnnxFacts(BaseModel):
    """taps: quantizer -> (tensor that holds its codes, in which way); further calls of one forward pass, as of a head
    that serves several levels, are "quantizer#1" and so on. wide_layers: integer layers whose pairs of
    products may leave 16 bits. nms_iou, max_candidates: how scored regions become detections (SelectionSpec); the count
    is missing in older files, all of detectors that had this one. So is the digest."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format_version: StrictInt = FORMAT_VERSION
    form: Name
    embedding_dim: Annotated[StrictInt, Field(ge=1, le=100_000)]
    size_divisor_px: Annotated[StrictInt, Field(ge=1, le=10_000)]
    has_fixed_vocabulary: StrictBool
    score_threshold: float = Field(ge=0, lt=1)
    nms_iou: float | None = Field(None, gt=0, le=1)
    max_candidates: StrictInt = Field(30_000, ge=1)
    images: str
    boxes: str
    text_bank: OnnxBankFacts | None = None
    taps: dict[str, tuple[str, str]]
    wide_layers: tuple[str, ...]
    wide_weights: Literal["uint8"] | None = None
    extra: ExporterFacts = ExporterFacts()
    sha256: str | None = Field(None, pattern="^[0-9a-f]{64}$")

    def to_json(self) -> str:
        """The text for the file, its digest still to come (`signed`)."""
        facts = self.model_dump(mode="json", exclude_none=True) | {"sha256": NO_DIGEST}
        facts["extra"] = self.extra.model_dump(mode="json", exclude_unset=True)
        return json.dumps(facts, sort_keys=True, ensure_ascii=False)

    @property
    def bank(self) -> TextBank | None:
        """The stored prompts with their embeddings. Raises ValueError where both do not fit."""
        if self.text_bank is None:
            return None
        prompts = self.text_bank.prompts
        try:
            content = base64.b64decode(self.text_bank.embeddings, validate=True)
        except (binascii.Error, ValueError) as error:
            raise ValueError(f"The embeddings of its text bank are no base64: {error}. Export it again.") from error
        wanted = len(prompts) * self.embedding_dim * 4
        if len(content) != wanted:
            raise ValueError(
                f"Embeddings of {len(prompts)} prompts have {wanted} bytes; its text bank has {len(content)}. Export "
                "it again."
            )
        flat = torch.from_numpy(np.frombuffer(content, dtype="<f4").astype(np.float32))
        return bank_from(flat.reshape(len(prompts), self.embedding_dim), self.text_bank)


def key_of_call(quantizer: str, call: int) -> str:
    """Key of `taps` for a call of a quantizer, counted from 0."""
    return f"{quantizer}{CALL_MARK}{call}" if call else quantizer


def call_of_key(key: str) -> tuple[str, int]:
    """The quantizer and its call."""
    quantizer, _, call = key.partition(CALL_MARK)
    return quantizer, int(call or 0)


def bank_facts(bank: TextBank) -> OnnxBankFacts:
    """A text bank as it is written into the metadata."""
    embeddings_KD = bank.embeddings_KD.detach().cpu().float().contiguous()
    return OnnxBankFacts(
        prompts=bank.prompts,
        encoder=bank.encoder,
        is_normalized=bank.is_normalized,
        embeddings=base64.b64encode(embeddings_KD.numpy().astype("<f4").tobytes()).decode(),
    )


def parse_onnx_facts(stored: str | None, path: Path) -> OnnxFacts:
    """The facts in the text of METADATA_KEY. Raises ValueError for another program's file, and for a damaged text."""
    if stored is None:
        raise ValueError(f"{path} is an ONNX model of another program: it lacks the {METADATA_KEY!r} metadata.")
    try:
        facts: Any = parse_json(stored)
    except ValueError as error:
        raise ValueError(f"The metadata {METADATA_KEY!r} of {path} is damaged: {error} Export it again.") from error
    if not isinstance(facts, dict):
        raise ValueError(f"The metadata {METADATA_KEY!r} of {path} must be a JSON object; it is {stored[:40]!r}.")
    check_version(path, facts.get("format_version"), FORMAT_VERSION)
    return parse_header(OnnxFacts, facts, path)


def signed(content: bytes) -> bytes:
    """The bytes of a file whose facts come from `to_json`, its digest put in place."""
    assert content.count(NO_DIGEST.encode()) == 1
    return content.replace(NO_DIGEST.encode(), _digest(content).encode())


def verify(content: bytes, facts: OnnxFacts, path: Path) -> None:
    """Raises ValueError for a file that changed since it was written; the log tells of one that has no digest."""
    if facts.sha256 is None:
        log.info("%s was written before files had checksums: whether it changed since cannot be told.", path)
        return
    found = _digest(content.replace(facts.sha256.encode(), NO_DIGEST.encode()))
    if found != facts.sha256:
        raise ValueError(
            f"{path} was altered: its content has checksum {found[:16]}…, its metadata says {facts.sha256[:16]}…. "
            "Copy or export it again."
        )


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
