"""Rendered images: written once, read as a folder."""

from dataclasses import dataclass

import pytest
from kedro.io import DatasetError
from PIL import Image

from crqat_pipeline.catalog_io.image_folder import ImageFolderDataset


@dataclass(frozen=True)
class Plain:
    names: tuple[str, ...]
    fingerprint: str = "1"
    colour: str = "red"

    def render(self, name: str) -> Image.Image:
        if name == "bad.png":
            raise OSError(28, "No space left on device")
        return Image.new("RGB", (4, 2), self.colour)


def test_render_then_keep(tmp_path):
    dataset = ImageFolderDataset(filepath=str(tmp_path / "images"), workers=1)
    dataset.save(Plain(("a.png", "b.png")))
    assert dataset.load().open("b.png").getpixel((0, 0)) == (255, 0, 0)
    dataset.save(Plain(("a.png", "b.png"), colour="blue"))
    assert dataset.load().open("a.png").getpixel((0, 0)) == (255, 0, 0)
    dataset.save(Plain(("a.png", "b.png"), fingerprint="2", colour="blue"))
    assert dataset.load().open("a.png").getpixel((0, 0)) == (0, 0, 255)


def test_a_full_disk_is_reported(tmp_path):
    dataset = ImageFolderDataset(filepath=str(tmp_path / "images"), workers=1)
    with pytest.raises(DatasetError, match="No space left on device"):
        dataset.save(Plain(("a.png", "bad.png")))
