"""What `crqat export` was asked for: one object for the writers of all forms."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from PIL import Image

    from crqat_pipeline.recipes.exportable import ExportableModel

CALIBRATION_IMAGES = 64


FLOAT_ATTENTION = (
    "warning: attention, whose ranges are per head, is in floating point in the file and in the comparison, so that "
    "its AP may be more than 0.3 points from the student's: measure it (benchmarks/file_accuracy.py)"
)
"""Of forms whose runtimes know one range per tensor."""


@dataclass(frozen=True)
class ExportRequest:
    """options: those of the command that only some forms read, by their Python names; None or False where not given.

    opened: the model as its file has it. image_size_px: a side, or (height, width). images: folder to prove on; None:
    drawn scenes. calibrating: folder of the images of `ready`.
    """

    opened: ExportableModel
    source: Path
    out: Path
    form: str
    image_size_px: int | tuple[int, int]
    images: Path | None
    num_images: int
    calibrating: Path | None
    options: Mapping[str, Any]

    @property
    def sides_px(self) -> tuple[int, int]:
        size = self.image_size_px
        return (size, size) if isinstance(size, int) else size

    def ready(self) -> ExportableModel:
        """The model, with pre-activation quantizers where they are wished for: work, so after every refusal."""
        from crqat_pipeline.recipes.file_export import folder_images, with_integer_outputs

        if self.calibrating is None:
            return self.opened
        images = folder_images(self.calibrating, CALIBRATION_IMAGES)
        calibrated = with_integer_outputs(self.opened, images, self.image_size_px)
        click.echo(f"pre-activations calibrated on {self.calibrating}: one rounding per layer more, about 0.1 AP less")
        return calibrated

    def proof_images(self) -> Iterator[Image.Image]:
        """Images to compare graph and model on."""
        from crqat_pipeline.recipes.file_export import proof_images

        return proof_images(self.images, self.image_size_px, self.num_images)

    def refuse(self, names: Sequence[str], why: str) -> None:
        """Raises ValueError where one of these options was given."""
        given = [f"--{name.replace('_', '-')}" for name in names if self._is_given(name)]
        if given:
            raise ValueError(f"The form {self.form} {why}; got {', '.join(given)}. Leave it out.")

    def _is_given(self, name: str) -> bool:
        value = self.options[name]
        return value is not None and value is not False  # a threshold of 0 is given
