import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from crqat_pipeline.inference import ImageError, open_image


def test_exif_orientation_is_applied(tmp_path):
    pixels = np.zeros((4, 8, 3), np.uint8)
    pixels[:, :4] = (255, 0, 0)
    exif = Image.Exif()
    exif[0x0112] = 6  # rotate 90 degrees clockwise to see it upright
    Image.fromarray(pixels).save(tmp_path / "turned.png", exif=exif)
    image = open_image(tmp_path / "turned.png")
    assert image.size == (4, 8)
    assert image.getpixel((1, 1)) == (255, 0, 0)
    assert image.getpixel((1, 6)) == (0, 0, 0)


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "LA", "CMYK", "I;16", "I", "YCbCr"])
def test_every_mode_becomes_rgb_of_the_same_size(tmp_path, mode):
    image = open_image(Image.new(mode, (5, 3)))
    assert (image.mode, image.size) == ("RGB", (5, 3))


def test_sixteen_bits_keep_their_upper_half(tmp_path):
    values = np.array([[0, 256, 65535]], np.uint16)
    Image.fromarray(values).save(tmp_path / "deep.png")
    assert np.asarray(open_image(tmp_path / "deep.png"))[0, :, 0].tolist() == [0, 1, 255]
    assert np.asarray(open_image(values))[0, :, 0].tolist() == [0, 1, 255]


def test_alpha_is_laid_on_white_and_palette_transparency_too(tmp_path):
    clear = Image.new("RGBA", (2, 2), (0, 0, 0, 0))
    assert open_image(clear).getpixel((0, 0)) == (255, 255, 255)
    palette = Image.new("P", (2, 2), 0)
    palette.putpalette([10, 20, 30, 40, 50, 60])
    palette.info["transparency"] = 0
    palette.putpixel((1, 1), 1)
    palette.save(tmp_path / "p.png")
    image = open_image(tmp_path / "p.png")
    assert image.getpixel((0, 0)) == (255, 255, 255)
    assert image.getpixel((1, 1)) == (40, 50, 60)


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (np.full((2, 3), 7, np.uint8), (7, 7, 7)),
        (np.full((2, 3, 1), 7, np.uint8), (7, 7, 7)),
        (np.full((2, 3, 3), 0.5, np.float32), (128, 128, 128)),
        (np.ones((2, 3), bool), (255, 255, 255)),
        (np.full((2, 3, 4), 255, np.uint8), (255, 255, 255)),
    ],
)
def test_arrays(array, expected):
    image = open_image(array)
    assert image.size == (3, 2)
    assert image.getpixel((0, 0)) == expected


@pytest.mark.parametrize(
    ("array", "text"),
    [
        (np.zeros((3, 20, 30), np.uint8), r"got \(3, 20, 30\)"),
        (np.zeros((0, 4, 3), np.uint8), r"got \(0, 4, 3\)"),
        (np.full((2, 2), 255.0), "values in \\[0, 1\\]; got 255 to 255"),
        (np.full((2, 2), np.nan), "got nan"),
        (np.zeros((2, 2), np.int64), "got int64"),
        (np.broadcast_to(np.uint8(0), (20_000, 20_000)), r"20000 × 20000 px; at most 200,000,000.*tiles"),
    ],
)
def test_arrays_that_are_no_images(array, text):
    with pytest.raises(ImageError, match=text):
        open_image(array)


def test_one_pixel_is_an_image():
    assert open_image(Image.new("L", (1, 1))).size == (1, 1)


def test_missing_damaged_and_foreign_files_are_told_apart(tmp_path):
    with pytest.raises(ImageError, match=r"No image file .*gone\.jpg"):
        open_image(tmp_path / "gone.jpg")
    (tmp_path / "text.jpg").write_text("not a picture")
    with pytest.raises(ImageError, match="not an image of a known format"):
        open_image(tmp_path / "text.jpg")
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / "whole.png")
    (tmp_path / "cut.png").write_bytes((tmp_path / "whole.png").read_bytes()[:2000])
    with pytest.raises(ImageError, match="damaged or cut off"):
        open_image(tmp_path / "cut.png")
    with pytest.raises(ImageError, match="got dict"):
        open_image({})


def test_a_picture_of_20000_by_20000_pixels_is_refused_before_it_is_decoded(tmp_path):
    Image.new("1", (20_000, 20_000)).save(tmp_path / "huge.png")
    with pytest.raises(ImageError, match="20000 × 20000 px; at most 200,000,000"):
        open_image(tmp_path / "huge.png")


@pytest.mark.parametrize(("width", "height"), [(3_200_000, 60), (60, 3_200_000), (61_000, 60)])
def test_a_strip_is_refused_before_it_is_decoded(tmp_path, width, height):
    header = struct.pack(">II", width, height) + bytes([1, 0, 0, 0, 0])
    chunk = b"IHDR" + header
    content = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk))
    (tmp_path / "strip.png").write_bytes(
        content + struct.pack(">I", 0) + b"IDAT" + struct.pack(">I", zlib.crc32(b"IDAT"))
    )
    with pytest.raises(ImageError, match=rf"{width} × {height} px; one side may be at most 1000 times the other"):
        open_image(tmp_path / "strip.png")


def test_pillows_own_limit_is_put_back(tmp_path):
    before = Image.MAX_IMAGE_PIXELS
    (tmp_path / "x.png").write_text("x")
    with pytest.raises(ImageError):
        open_image(tmp_path / "x.png")
    assert before == Image.MAX_IMAGE_PIXELS
