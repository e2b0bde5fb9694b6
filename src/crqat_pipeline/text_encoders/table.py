"""The table of text encoders: name -> spec, and each spec builds its encoder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from crqat_pipeline.runtime.lookup import look_up
from crqat_pipeline.text_encoders.embedding_cache import CachedTextEncoder
from crqat_pipeline.text_encoders.protocol import TextEncoder

RELEASED = "omlab/omdet-turbo-swin-tiny-hf"


class ComposedSpec(BaseModel):
    """The embedded benchmark's encoder: orthonormal word vectors, composed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Literal["composed"] = "composed"
    words: tuple[str, ...] = Field(description="All words that prompts may use, at most embedding_dim - 1.")
    embedding_dim: int = Field(64, ge=2, description="D of the embeddings.")
    seed: int = Field(0, ge=0, description="Seed of word vectors and mixing network.")

    def build(self) -> TextEncoder:
        from crqat_pipeline.text_encoders.composed import ComposedTextEncoder

        return ComposedTextEncoder(self.words, self.embedding_dim, self.seed)


class PrecomputedSpec(BaseModel):
    """Embeddings from a file, found by name."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Literal["precomputed"] = "precomputed"
    embeddings: Path = Field(description=".npy or .safetensors with one row per name.")
    names: Path | None = Field(
        None, description="JSON: names, lists of synonyms, or categories, in row order; a text bank has its own."
    )
    normalize: bool = Field(True, description="Bring rows to unit length, as YOLO-World was trained.")
    made_by: str | None = Field(
        None,
        min_length=1,
        description="Encoder that made the file, such as open_clip:ViT-B-32-quickgelu:openai; new prompts need it",
    )

    def build(self) -> TextEncoder:
        from crqat_pipeline.text_encoders.precomputed import PrecomputedTextEncoder

        return PrecomputedTextEncoder(self.embeddings, self.names, self.normalize, self.made_by)


class OpenClipSpec(BaseModel):
    """CLIP's text tower. YOLO-World uses the defaults."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Literal["open_clip"] = "open_clip"
    model_name: str = Field("ViT-B-32-quickgelu", description="Model name of open_clip.")
    pretrained: str = Field("openai", description="Weights tag of open_clip, or the path of a checkpoint.")
    normalize: bool = Field(True, description="Bring rows to unit length, as YOLO-World was trained.")
    quick_gelu: bool | None = Field(None, description="Activation; by default as the weights were trained.")

    def build(self) -> TextEncoder:
        from crqat_pipeline.text_encoders.clip_tower import load_clip_text_encoder

        return load_clip_text_encoder(self.model_name, self.pretrained, self.normalize, self.quick_gelu)


class OmDetTurboTextSpec(BaseModel):
    """The text encoder that was trained with the released OmDet-Turbo; the extra omdet brings it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Literal["omdet_turbo"] = "omdet_turbo"
    source: str = Field(RELEASED, description="owner/repository of the hub, or a folder with its files.")

    def build(self) -> TextEncoder:
        from crqat_pipeline.text_encoders.omdet_tower import load_omdet_text_encoder

        return load_omdet_text_encoder(self.source)


TextEncoderSpec = Annotated[
    ComposedSpec | PrecomputedSpec | OpenClipSpec | OmDetTurboTextSpec, Field(discriminator="name")
]

TEXT_ENCODERS: dict[str, type[ComposedSpec] | type[PrecomputedSpec] | type[OpenClipSpec] | type[OmDetTurboTextSpec]] = {
    "composed": ComposedSpec,
    "precomputed": PrecomputedSpec,
    "open_clip": OpenClipSpec,
    "omdet_turbo": OmDetTurboTextSpec,
}


def build_text_encoder(name: str, *, cache_folder: str | Path | None = None, **options: object) -> TextEncoder:
    """The text encoder of this name; options are the fields of its spec.

    cache_folder: keep embeddings there. Raises ValueError for unknown names and options, and what the encoder
    itself raises.
    """
    row = look_up(TEXT_ENCODERS, name, "text encoder")
    try:
        spec = TypeAdapter(row).validate_python(options)
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, detail['loc']))}: {detail['msg'].lower()}" for detail in error.errors())
        fields = ", ".join(field for field in row.model_fields if field != "name")
        raise ValueError(f"Text encoder {name!r} was given wrong options: {faults}. Options: {fields}.") from error
    encoder = spec.build()
    return encoder if cache_folder is None else CachedTextEncoder(encoder, cache_folder)
