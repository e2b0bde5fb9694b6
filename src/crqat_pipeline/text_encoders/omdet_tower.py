"""The text encoder inside a released OmDet-Turbo, as transformers runs it.

Shape letters: K prompts, T tokens, D embedding.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import Tensor, nn

from crqat_pipeline.text_encoders.clip_tower import ClipTextEncoder

WEIGHTS_NAME = "model.safetensors"
PREFIX = "language_backbone."
TOKENIZER = "ViT-B-32"
"""Of open_clip; OmDet-Turbo reads the same tokens."""


class OmDetTurboTower(nn.Module):
    """Token numbers (K, T) to class embeddings (K, D), not of unit length."""

    def __init__(self, language_backbone: Any) -> None:
        super().__init__()
        self.language_backbone = language_backbone

    def forward(self, tokens_KT: Tensor) -> Tensor:
        embeddings_KD: Tensor = self.language_backbone(tokens_KT, encode_type="class")
        return embeddings_KD


def local_weights(source: str) -> Path | None:
    """The weight file of a folder or of a repository in the hub's cache; None where it would have to be fetched."""
    if Path(source).is_dir():
        return Path(source) / WEIGHTS_NAME
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(source, WEIGHTS_NAME)
    return Path(found) if isinstance(found, str) else None


def load_omdet_text_encoder(source: str) -> ClipTextEncoder:
    """source: a folder of save_pretrained, or owner/repository of the hub.

    Raises ValueError where transformers is missing, OSError where the files are.
    """
    try:
        from transformers import OmDetTurboConfig
        from transformers.models.omdet_turbo.modeling_omdet_turbo import OmDetTurboLanguageBackbone
    except ImportError as error:
        raise ValueError(
            "The text encoder of OmDet-Turbo needs transformers. Install the extra: "
            "pip install 'crqat-pipeline[omdet]'."
        ) from error
    import open_clip
    from huggingface_hub import hf_hub_download
    from safetensors import safe_open

    path = local_weights(source) or Path(hf_hub_download(source, WEIGHTS_NAME))
    with safe_open(path, framework="pt") as file:
        keys = [key for key in file.keys() if key.startswith(PREFIX)]  # noqa: SIM118 - not a dict
        tensors = {key.removeprefix(PREFIX).replace(".text_model.", "."): file.get_tensor(key) for key in keys}
    tensors = {key: value for key, value in tensors.items() if not key.endswith("position_ids")}
    backbone = OmDetTurboLanguageBackbone(OmDetTurboConfig.from_pretrained(source))
    try:
        backbone.load_state_dict(tensors)
    except RuntimeError as error:
        raise ValueError(f"{path} holds no whole text encoder of OmDet-Turbo: {str(error)[:300]}") from error
    return ClipTextEncoder(
        OmDetTurboTower(backbone), open_clip.get_tokenizer(TOKENIZER), f"omdet_turbo:{source}", False
    )
