"""What the headers of model files must say, one schema per format, and faults told by file and key."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictInt, StringConstraints, ValidationError

from crqat_pipeline.model_files.detector_row import DetectorRow
from crqat_pipeline.quantization import QuantSpec
from crqat_pipeline.runtime.validation_text import faults_text

Name = Annotated[str, StringConstraints(min_length=1, max_length=500)]
Side = Annotated[StrictInt, Field(ge=1, le=100_000)]
Header = TypeVar("Header", bound=BaseModel)


class BankFacts(BaseModel):
    """A text bank whose embeddings are a tensor of the file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    prompts: tuple[str, ...] = Field(min_length=1, description="One per row of the embeddings")
    encoder: str = Field(description="Who made the embeddings")
    is_normalized: StrictBool = Field(description="Whether rows have unit length")


class TextBankHeader(BankFacts):
    """A text bank file."""

    format: Name | None = None
    format_version: StrictInt | None = None


class TextEncoderFacts(BaseModel):
    """The encoder of new prompts: a row of TEXT_ENCODERS and its options, checked where it is built."""

    model_config = ConfigDict(frozen=True, extra="allow")

    name: Name


class ExporterFacts(BaseModel):
    """Facts that readers use; whatever else an exporter wants to keep stands beside them."""

    model_config = ConfigDict(frozen=True, extra="allow")

    image_size_px: Side | None = None
    text_encoder: TextEncoderFacts | None = None

    @property
    def encoder_row(self) -> dict[str, Any] | None:
        """Name and options of the text encoder, as its builder takes them."""
        return None if self.text_encoder is None else self.text_encoder.model_dump(mode="json")


class CheckpointHeader(ExporterFacts):
    """A state dict with what rebuilds its detector. Checkpoints before version 1 have no format.

    weights_wait: only activations of the quantized parts are quantized, and the next stage quantizes the weights.
    """

    format: Name | None = None
    format_version: StrictInt | None = None
    detector: DetectorRow
    quantization: QuantSpec | None = None
    quantized_parts: tuple[Name, ...] = ()
    weights_wait: StrictBool = False
    text_bank: BankFacts | None = None


class GridFacts(BaseModel):
    """Of one quantizer that is on. axis: of its steps in the tensor, None for one step."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    bits: Annotated[StrictInt, Field(ge=2, le=8)]
    low: StrictInt
    high: StrictInt
    axis: StrictInt | None


class PackedHeader(BaseModel):
    """A packed file (docs/formats/packed_int4.md)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Name
    format_version: StrictInt
    detector: DetectorRow
    quantization: QuantSpec
    quantized_parts: tuple[Name, ...] = Field(min_length=1)
    clip_convention: str
    layers: dict[str, GridFacts]
    text_bank: BankFacts | None
    extra: ExporterFacts
    sha256: Name


def parse_header(schema: type[Header], facts: Mapping[str, Any], source: Path | str) -> Header:
    """The facts by their schema. Raises ValueError that names the file, and each key with its fault."""
    try:
        return schema.model_validate(facts)
    except ValidationError as error:
        raise ValueError(
            f"{source} does not say what it must in its header: {faults_text(error)}. It was damaged, or "
            "written by another program: copy or export it again."
        ) from error


def check_version(source: Path | str, version: object, newest: int) -> None:
    """Raises ValueError for a version of a format that this program does not know."""
    if not isinstance(version, int) or isinstance(version, bool) or not 1 <= version <= newest:
        raise ValueError(
            f"{source} has format version {version!r}; this program reads versions 1 to {newest}. "
            "Update crqat-pipeline, or export the model again with it."
        )
