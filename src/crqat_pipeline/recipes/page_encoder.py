"""The text encoder of a page, from what a person names."""

from __future__ import annotations

from crqat_pipeline.recipes.embedding import TextSource
from crqat_pipeline.text_encoders.clip_tower import ClipTextEncoder, load_clip_text_encoder
from crqat_pipeline.text_encoders.table import OpenClipSpec


def page_encoder(named: str) -> ClipTextEncoder:
    """named: `open_clip`, JSON with its options, or a file of CLIP weights.

    Raises ValueError for another encoder, and for weights that are not here and cannot be fetched.
    """
    spec = TextSource(named).spec
    if not isinstance(spec, OpenClipSpec):
        raise ValueError(
            f"A page encodes names by CLIP's text tower; got the text encoder {spec.name!r}. Give open_clip, JSON with "
            "its options, or a file of CLIP weights; or leave --text-encoder out: the page then offers nearest names."
        )
    try:
        return load_clip_text_encoder(spec.model_name, spec.pretrained, spec.normalize, spec.quick_gelu)
    except OSError as error:
        raise ValueError(f"{error} A file that is here already: --text-encoder WEIGHTS.") from error
