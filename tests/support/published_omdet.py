"""A small OmDet-Turbo as transformers builds and saves it."""

from __future__ import annotations

from transformers import CLIPTextConfig, OmDetTurboConfig, OmDetTurboForObjectDetection

from crqat_pipeline.detectors.omdet_turbo.sizes import spec_of


def released_model(**changes):
    """OmDetTurboForObjectDetection of the small detector's widths, in eval mode, with random weights."""
    spec = spec_of("omdet_turbo_open_shapes", **changes)
    text = CLIPTextConfig(
        hidden_size=spec.embedding_dim, intermediate_size=64, num_hidden_layers=1, num_attention_heads=2
    )
    config = OmDetTurboConfig(
        text_config=text.to_dict(),
        text_projection_in_dim=spec.embedding_dim,
        text_projection_out_dim=spec.embedding_dim,
        encoder_in_channels=[spec.swin_width * 2**stage for stage in (1, 2, 3)],
        encoder_hidden_dim=spec.hidden_dim,
        encoder_attention_heads=spec.num_heads,
        encoder_dim_feedforward=spec.feedforward_dim,
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
    config.timm_kwargs = {
        "img_size": 640,
        "always_partition": True,
        "strict_img_size": False,
        "embed_dim": spec.swin_width,
        "depths": spec.swin_depths,
        "num_heads": spec.swin_heads,
        "window_size": spec.window_size,
    }
    return OmDetTurboForObjectDetection(config).eval()
