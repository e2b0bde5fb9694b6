"""What a person says of their photographs."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from crqat_pipeline.recipes.embedding import TextSource

NAME = re.compile(r"[a-z][a-z0-9_]*")
RESERVED = ("base", "local")


@dataclass(frozen=True)
class OwnDataRequest:
    """name: of the environment. annotations, val: files or folders in any layout; images, val_images: their folders.

    lvis: an LVIS-format file of the validation images. weights: ready weights of the detector, which is told from them
    where `detector` is None. val_share: of the images, where there is no `val`. num_steps: of quantization-aware
    training in all; image_size_px: side of the square input; both are chosen from the data where None.
    Raises ValueError for a name that no folder of conf/ may have.
    """

    name: str
    images: Path
    annotations: Path
    val: Path | None = None
    val_images: Path | None = None
    lvis: Path | None = None
    detector: str | None = None
    weights: str | None = None
    text: TextSource = field(default_factory=TextSource)
    val_share: float = 0.2
    seed: int = 0
    num_steps: int | None = None
    image_size_px: int | None = None

    def __post_init__(self) -> None:
        if not NAME.fullmatch(self.name) or self.name in RESERVED:
            raise ValueError(
                f"An environment is named by small letters, digits and _, and not {' or '.join(RESERVED)}; got "
                f"{self.name!r}. Use a name such as my_data."
            )
        for folder in (self.images, self.val_images):
            if folder is not None and not folder.is_dir():
                raise ValueError(f"Images lie in a folder; there is none at {folder}. Check the path.")
        for path in (self.annotations, self.val, self.lvis):
            if path is not None and not path.exists():
                raise ValueError(f"Nothing at {path}. Check the path.")
