"""Refuse images and text that the detector cannot take, saying what fits.

Shape letters: B images, 3 RGB, H W pixels, K prompts, D embedding.
"""

from __future__ import annotations

from torch import Tensor


def check_inputs(images_B3HW: Tensor, text_embeddings: Tensor, embedding_dim: int, size_divisor: int) -> None:
    """Raises ValueError naming the shape that does not fit and the one that would."""
    if images_B3HW.ndim != 4 or images_B3HW.shape[1] != 3:
        raise ValueError(f"Images are (B, 3, H, W); got {tuple(images_B3HW.shape)}. Add the missing axis.")
    height, width = images_B3HW.shape[2:]
    if height % size_divisor or width % size_divisor or not height or not width:
        raise ValueError(
            f"Image sides are multiples of {size_divisor} px; got {height} x {width}. Letterbox or pad the images."
        )
    check_text(text_embeddings, embedding_dim)
    if text_embeddings.ndim == 3 and text_embeddings.shape[0] not in (1, images_B3HW.shape[0]):
        raise ValueError(
            f"Per-image text embeddings need one set per image; got {text_embeddings.shape[0]} sets for "
            f"{images_B3HW.shape[0]} images. Give (B, K, D), or (K, D) to share one set."
        )


def check_text(text_embeddings: Tensor, embedding_dim: int) -> None:
    """Raises ValueError unless the text is (K, D) or (B, K, D) with this D and at least one prompt."""
    shape = tuple(text_embeddings.shape)
    if text_embeddings.ndim not in (2, 3) or shape[-1] != embedding_dim or shape[-2] == 0:
        raise ValueError(
            f"Text embeddings are (K, {embedding_dim}) or (B, K, {embedding_dim}) with K >= 1; got {shape}. "
            "Encode the prompts with the text encoder this detector was trained with."
        )
