"""The Swin backbone of timm with the layer norms of OmDet-Turbo on its last three maps.

Shape letters: B images, 3 RGB, H W pixels, h w cells, C channels.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from crqat_pipeline.detectors.omdet_turbo.attention import with_quantizable_attention
from crqat_pipeline.detectors.omdet_turbo.spec import OmDetTurboSpec

NAMES = ("c3", "c4", "c5")
ARCHITECTURE = "swin_tiny_patch4_window7_224"
TRAINING_SIDE_PX = 640
MEAN = (0.485, 0.456, 0.406)
DEVIATION = (0.229, 0.224, 0.225)


class Backbone(nn.Module):
    """Maps c3, c4, c5 at strides 8, 16, 32. Images are normalized here, by ImageNet's mean and deviation."""

    def __init__(self, spec: OmDetTurboSpec) -> None:
        super().__init__()
        import timm

        self.body: Any = timm.create_model(
            ARCHITECTURE,
            pretrained=False,
            features_only=True,
            out_indices=(1, 2, 3),
            img_size=TRAINING_SIDE_PX,
            strict_img_size=False,
            always_partition=True,
            embed_dim=spec.swin_width,
            depths=spec.swin_depths,
            num_heads=spec.swin_heads,
            window_size=spec.window_size,
            drop_path_rate=0.0,
        )
        self.layer_norms = nn.ModuleList(nn.LayerNorm(spec.swin_width * 2**stage, eps=1e-5) for stage in (1, 2, 3))
        with_quantizable_attention(self)

    def forward(self, images_B3HW: Tensor) -> dict[str, Tensor]:
        """(B, C, h, w) by name."""
        mean, deviation = (images_B3HW.new_tensor(value).view(1, 3, 1, 1) for value in (MEAN, DEVIATION))
        maps_BhwC = self.body((images_B3HW - mean) / deviation)
        normalized = [norm(map_BhwC) for norm, map_BhwC in zip(self.layer_norms, maps_BhwC, strict=True)]
        return {name: map_BhwC.permute(0, 3, 1, 2) for name, map_BhwC in zip(NAMES, normalized, strict=True)}
