"""What another runtime needs of a CLIP text encoder: its tensors, how they are used, and its byte-pair merges.

Shape letters: V vocabulary, C context, W width, D embedding.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor, nn

from crqat_pipeline.text_encoders.clip_tower import ClipTextEncoder

NUM_BYTE_SYMBOLS, NUM_MARKS = 512, 2
"""Every byte inside a word and at its end, and the marks of start and end: what no merge makes."""


@dataclass(frozen=True)
class ClipParts:
    """name, is_normalizing: of the encoder. tensors: token_embedding.weight (V, W), positional_embedding (C, W), those
    of transformer.resblocks.*, ln_final.*, text_projection (W, D), float32 on the CPU. has_quick_gelu: x ·
    sigmoid(1.702 x) inside the blocks, else GELU. merges: "left right", in the order of learning.
    """

    name: str
    is_normalizing: bool
    tensors: Mapping[str, Tensor]
    num_layers: int
    num_heads: int
    has_quick_gelu: bool
    context_length: int
    merges: tuple[str, ...]


def clip_parts(encoder: ClipTextEncoder) -> ClipParts:
    """Raises ValueError for a tower that is no plain text transformer, or whose tokenizer has another vocabulary."""
    from open_clip.transformer import QuickGELU, TextTransformer

    tower, tokenizer = encoder.tower, encoder.tokenizer
    if not isinstance(tower, TextTransformer):
        raise ValueError(
            f"Only CLIP's plain text transformer can be taken apart; got {type(tower).__name__}. Load the encoder by "
            "load_clip_text_encoder."
        )
    activations = {type(module) for module in tower.modules() if isinstance(module, QuickGELU | nn.GELU)}
    merges = tuple(" ".join(pair) for pair in tokenizer.bpe_ranks)
    if tower.vocab_size != len(merges) + NUM_BYTE_SYMBOLS + NUM_MARKS:
        raise ValueError(
            f"A text tower knows as many tokens as its tokenizer makes; got {tower.vocab_size} and "
            f"{len(merges) + NUM_BYTE_SYMBOLS + NUM_MARKS}. Choose an OpenAI-style model such as 'ViT-B-32-quickgelu'."
        )
    return ClipParts(
        encoder.name,
        encoder.is_normalizing,
        {name: tensor.detach().cpu().float() for name, tensor in tower.state_dict().items()},
        len(tower.transformer.resblocks),
        tower.heads,
        activations == {QuickGELU},
        tower.context_length,
        merges,
    )
