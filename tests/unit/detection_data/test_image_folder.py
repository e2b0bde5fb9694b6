from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from crqat_pipeline.detection_data import ImageFileError, ImageFolder

RED_LEFT = np.zeros((4, 6, 3), dtype=np.uint8)
RED_LEFT[:, :3, 0] = 255


@pytest.mark.parametrize(
    "name", ["../secret.jpg", "a/../../b.jpg", "/etc/passwd", "C:\\x.jpg", "..\\x.jpg", "\\x.jpg", "", "a\0b.jpg"]
)
def test_names_that_leave_the_folder_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ImageFileError, match="does not stay inside the image folder"):
        ImageFolder(tmp_path).open(name)


def test_sub_folders_and_links_are_followed(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    (tmp_path / "images").mkdir()
    Image.fromarray(RED_LEFT).save(tmp_path / "store" / "a.png")
    (tmp_path / "images" / "train").symlink_to(tmp_path / "store")
    assert ImageFolder(tmp_path / "images").open("train/a.png").size == (6, 4)


def test_missing_and_damaged_files_are_named(tmp_path: Path) -> None:
    folder = ImageFolder(tmp_path)
    with pytest.raises(ImageFileError, match=r"'gone\.jpg' does not exist"):
        folder.open("gone.jpg")
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)).save(tmp_path / "a.jpg")
    content = (tmp_path / "a.jpg").read_bytes()
    (tmp_path / "cut.jpg").write_bytes(content[: len(content) // 2])
    with pytest.raises(ImageFileError, match=r"cut\.jpg is damaged or cut off"):
        folder.open("cut.jpg")
    (tmp_path / "text.jpg").write_text("not an image")
    with pytest.raises(ImageFileError, match="is not an image of a known format"):
        folder.open("text.jpg")
    (tmp_path / "empty.jpg").write_bytes(b"")
    with pytest.raises(ImageFileError, match="is not an image of a known format"):
        folder.open("empty.jpg")


def test_every_pixel_format_becomes_8_bit_rgb(tmp_path: Path) -> None:
    image = Image.fromarray(RED_LEFT)
    grey = np.array([[0, 128, 255]], dtype=np.uint8)
    variants = {
        "palette.png": image.convert("P"),
        "alpha.png": image.convert("RGBA"),
        "cmyk.tif": image.convert("CMYK"),
        "grey.png": Image.fromarray(grey),
        "grey16.png": Image.fromarray(grey.astype(np.uint16) * 257),
        "bilevel.png": Image.fromarray(grey).convert("1"),
    }
    for name, variant in variants.items():
        variant.save(tmp_path / name)
        assert ImageFolder(tmp_path).open(name).mode == "RGB", name
    for name in ("palette.png", "alpha.png", "cmyk.tif"):
        assert np.array_equal(ImageFolder(tmp_path).open(name), RED_LEFT), name
    for name in ("grey.png", "grey16.png"):
        assert np.asarray(ImageFolder(tmp_path).open(name))[0, :, 1].tolist() == [0, 128, 255], name


def test_exif_orientation_is_applied(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(RED_LEFT).save(tmp_path / "turned.png", exif=exif)
    upright = ImageFolder(tmp_path).open("turned.png")
    assert upright.size == (4, 6)
    assert np.asarray(upright)[0].tolist() == [[255, 0, 0]] * 4


def test_folders_above_the_given_one_are_left_out_of_a_name(tmp_path: Path) -> None:
    for name in ("patch8/a.png", "val2017/b.png", "c.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.fromarray(RED_LEFT).save(tmp_path / name)
    folder = ImageFolder(tmp_path)
    assert folder.locate("images/v1/patch8/a.png") == tmp_path / "patch8" / "a.png"  # Objects365
    assert ImageFolder(tmp_path / "val2017").locate("val2017/b.png") == tmp_path / "val2017" / "b.png"  # LVIS
    assert folder.open("train2017/c.png").size == (6, 4)
    assert folder.path("train2017/c.png") == tmp_path / "train2017" / "c.png"  # where it would be written
    with pytest.raises(ImageFileError, match=r"'images/v1/patch9/a\.png' does not exist"):
        folder.open("images/v1/patch9/a.png")
