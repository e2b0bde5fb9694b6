"""Are CLIP's weights on this machine already?"""

from __future__ import annotations

from pathlib import Path

FILE_NAMES = ("open_clip_model.safetensors", "open_clip_pytorch_model.bin")


def local_clip_weights(model_name: str, pretrained: str) -> Path | None:
    """The file that open_clip would read without a network: a checkpoint given as a path, or what it has cached."""
    if Path(pretrained).is_file():
        return Path(pretrained)
    from huggingface_hub import try_to_load_from_cache
    from open_clip.pretrained import get_pretrained_cfg

    config = get_pretrained_cfg(model_name, pretrained) or {}
    repository, _, name = str(config.get("hf_hub", "")).rpartition("/")
    for candidate in ((name,) if name else FILE_NAMES) if repository else ():
        found = try_to_load_from_cache(repository, candidate)
        if isinstance(found, str):
            return Path(found)
    return None
