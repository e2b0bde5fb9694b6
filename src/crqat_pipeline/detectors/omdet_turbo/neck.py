"""The hybrid encoder of transformers' OmDet-Turbo, and the decoder whose modules the head takes over.

Shape letters: B images, C channels, h w cells.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from crqat_pipeline.detectors.omdet_turbo.attention import with_quantizable_attention
from crqat_pipeline.detectors.omdet_turbo.spec import OmDetTurboSpec


class Neck(nn.Module):
    """Takes over the children of `encoder`, an OmDetTurboHybridEncoder, and runs it."""

    def __init__(self, encoder: Any) -> None:
        super().__init__()
        self.hybrid = encoder
        with_quantizable_attention(self)

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """(B, C, h, w) at strides 8, 16, 32."""
        return list(self.hybrid(list(maps), return_dict=False)[3])


def build_neck_and_decoder(spec: OmDetTurboSpec) -> tuple[Neck, Any]:
    """With random weights."""
    from transformers import OmDetTurboConfig
    from transformers.models.omdet_turbo.modeling_omdet_turbo import OmDetTurboDecoder, OmDetTurboHybridEncoder

    config = OmDetTurboConfig(
        encoder_in_channels=[spec.swin_width * 2**stage for stage in (1, 2, 3)],
        encoder_hidden_dim=spec.hidden_dim,
        encoder_attention_heads=spec.num_heads,
        encoder_dim_feedforward=spec.feedforward_dim,
        encoder_layers=spec.encoder_layers,
        vision_features_channels=[spec.hidden_dim] * 3,
        decoder_hidden_dim=spec.hidden_dim,
        decoder_num_heads=spec.num_heads,
        decoder_dim_feedforward=spec.feedforward_dim,
        decoder_num_layers=spec.decoder_layers,
        decoder_num_points=spec.num_points,
        num_queries=spec.num_queries,
        class_embed_dim=spec.embedding_dim,
        task_encoder_hidden_dim=spec.task_hidden_dim,
    )
    return Neck(OmDetTurboHybridEncoder(config)), OmDetTurboDecoder(config)
