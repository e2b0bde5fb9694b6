"""Anything a person calls an image becomes 8-bit RGB: the one reader of training, evaluation, detect and the demo page.

Shape letters: H W pixels, C channels.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from threading import Lock
from typing import Literal, TypeAlias

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

ImageSource: TypeAlias = "str | Path | Image.Image | np.ndarray"
ExifOrientation = Literal["apply", "ignore"]

MAX_PIXELS = 200_000_000
MAX_ASPECT = 1000
"""Of the longer to the shorter side: beyond, nothing of it is left in a detector's square input."""
FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "DIB", "GIF", "PPM", "JPEG2000", "AVIF", "TGA", "ICO")
"""What is opened. Others (PostScript among them, which Pillow hands to another program) are not looked into."""
SUFFIXES = frozenset({
    ".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".apng", ".webp", ".tif", ".tiff", ".bmp", ".dib", ".gif",
    ".ppm", ".pgm", ".pbm", ".pnm", ".jp2", ".j2k", ".jpx", ".avif", ".tga", ".ico",
})  # fmt: skip
WHITE = (255, 255, 255, 255)
ORIENTATION_TAG = 0x0112
TRANSPARENT_MODES = ("RGBA", "LA", "PA", "RGBa", "La")

_PILLOWS_LIMIT = Lock()


class ImageError(ValueError):
    """An image that cannot be read; the text names it, says why and what to do."""


def open_image(source: ImageSource, exif_orientation: ExifOrientation = "apply") -> Image.Image:
    """An image in 8-bit RGB: EXIF orientation applied (or ignored), alpha laid on white.

    source: a path, a PIL image, or an array (H, W), (H, W, 1 | 3 | 4) in RGB order; uint8, uint16, bool, or float in
    [0, 1]. Of 16 bits the upper 8 are taken, unless no value is above 255: those are 8 bits in a wider file. Float
    files within [0, 1] are multiplied by 255, those within [0, 255] taken as they are.
    Raises ImageError for what is none of these, is damaged, has over 200 megapixels, or is 1000 times as long as wide.
    """
    if isinstance(source, np.ndarray):
        return _rgb(_from_array(source), "The array")
    if isinstance(source, Image.Image):
        _check_size(source.size, "The given image")
        return _decoded(source, "The given image", exif_orientation)
    if isinstance(source, (str, Path)):
        return _from_path(Path(source), exif_orientation)
    raise ImageError(
        f"An image is a path, a PIL image or a NumPy array; got {type(source).__name__}. Convert it to one of these."
    )


def orientation(path: Path) -> int:
    """The EXIF orientation of a file, 1 (upright) to 8; 1 where it says nothing, or nothing that is valid."""
    try:
        with _opened(path) as image:
            value = image.getexif().get(ORIENTATION_TAG, 1)
    except ImageError:
        return 1
    return value if value in range(1, 9) else 1


def size_of(path: Path, exif_orientation: ExifOrientation = "apply") -> tuple[int, int]:
    """Width and height in pixels as `open_image` gives them, from the file's header. Raises ImageError."""
    with _opened(path) as image:
        width, height = image.size
    is_turned = exif_orientation == "apply" and orientation(path) >= 5
    return (height, width) if is_turned else (width, height)


def is_image_name(path: Path) -> bool:
    """By suffix; hidden files are none, such as the ._IMG.jpg that macOS writes beside each IMG.jpg."""
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".")


@cache
def _readable_formats() -> tuple[str, ...]:
    """Those that this build of Pillow can read."""
    Image.init()
    return tuple(name for name in FORMATS if name in Image.OPEN)


def _opened(path: Path) -> Image.Image:
    """The file with its header read. Pillow's own limit is below ours and would call a large image an attack."""
    try:
        with _PILLOWS_LIMIT:
            limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
            try:
                return Image.open(path, formats=_readable_formats())
            finally:
                Image.MAX_IMAGE_PIXELS = limit
    except (FileNotFoundError, NotADirectoryError) as error:
        raise ImageError(f"No image file {path}. Check the path.") from error
    except IsADirectoryError as error:
        raise ImageError(f"No image file {path}: it is a folder. Name a file in it.") from error
    except UnidentifiedImageError as error:
        raise ImageError(
            f"{path} is not an image of a known format ({', '.join(FORMATS[:5])}, …). Convert it to PNG or JPEG."
        ) from error
    except MemoryError:
        raise
    except Exception as error:  # decoders of damaged headers raise anything
        raise _damaged(path, error) from error


def _from_path(path: Path, exif_orientation: ExifOrientation) -> Image.Image:
    if "\0" in str(path):
        raise ImageError(f"No image file {str(path)!r}. Check the path.")
    with _opened(path) as opened:
        _check_size(opened.size, str(path))
        return _decoded(opened, str(path), exif_orientation)


def _decoded(image: Image.Image, name: str, exif_orientation: ExifOrientation) -> Image.Image:
    try:
        image.load()
        upright = ImageOps.exif_transpose(image) if exif_orientation == "apply" else image
        return _rgb(upright, name)
    except (ImageError, MemoryError):
        raise
    except Exception as error:  # decoders of damaged files raise anything
        raise _damaged(name, error) from error


def _damaged(name: object, error: Exception) -> ImageError:
    return ImageError(f"{name} is damaged or cut off ({error}). Fetch it again or leave it out.")


def _check_size(size: tuple[int, int], name: str) -> None:
    width_px, height_px = size
    if width_px < 1 or height_px < 1:
        raise ImageError(f"{name} is empty ({width_px} × {height_px} px). Give at least one pixel.")
    if width_px * height_px > MAX_PIXELS:
        raise ImageError(
            f"{name} has {width_px} × {height_px} px; at most {MAX_PIXELS:,} pixels are read at once. "
            "Cut it into tiles or scale it down first."
        )
    if max(size) > MAX_ASPECT * min(size):
        raise ImageError(
            f"{name} has {width_px} × {height_px} px; one side may be at most {MAX_ASPECT} times the other. "
            "Cut it into tiles first."
        )


def _from_array(array_HWC: np.ndarray) -> Image.Image:
    shape = array_HWC.shape
    if array_HWC.ndim not in (2, 3) or (array_HWC.ndim == 3 and shape[2] not in (1, 3, 4)) or 0 in shape:
        raise ImageError(
            f"An image array has shape (H, W), (H, W, 1), (H, W, 3) or (H, W, 4); got {shape}. "
            "Move the channels last and give one image at a time."
        )
    if array_HWC.ndim == 3 and shape[2] == 1:
        array_HWC = array_HWC[:, :, 0]
    _check_size((array_HWC.shape[1], array_HWC.shape[0]), "The array")
    if array_HWC.dtype == np.uint8:
        return Image.fromarray(np.ascontiguousarray(array_HWC))
    if array_HWC.dtype == np.bool_:
        return Image.fromarray(array_HWC.astype(np.uint8) * np.uint8(255))
    if array_HWC.dtype == np.uint16:
        return Image.fromarray(_of_sixteen_bits(array_HWC))
    if np.issubdtype(array_HWC.dtype, np.floating):
        low, high = float(array_HWC.min()), float(array_HWC.max())
        if not (low >= 0.0 and high <= 1.0):
            raise ImageError(f"A float image holds values in [0, 1]; got {low:g} to {high:g}. Divide by 255?")
        return Image.fromarray(np.round(array_HWC * 255).astype(np.uint8))
    raise ImageError(f"An image array is uint8, uint16, bool or float in [0, 1]; got {array_HWC.dtype}. Convert it.")


def _of_sixteen_bits(values: np.ndarray) -> np.ndarray:
    """The upper byte; the lower one where no value has an upper one."""
    if values.max(initial=0) > 255:
        values = values.clip(0, 65535) >> 8
    return values.clip(0, 255).astype(np.uint8)


def _of_floats(values_HW: np.ndarray, name: str) -> np.ndarray:
    low, high = float(values_HW.min()), float(values_HW.max())
    if not 0.0 <= low <= high <= 255.0:
        raise ImageError(
            f"{name} holds floats from {low:g} to {high:g}; within [0, 1] or [0, 255] they are read. Scale them first."
        )
    return np.round(values_HW * (255 if high <= 1.0 else 1)).astype(np.uint8)


def _rgb(image: Image.Image, name: str) -> Image.Image:
    if image.mode == "RGB" and "transparency" not in image.info:
        return image
    if image.mode.startswith("I"):
        image = Image.fromarray(_of_sixteen_bits(np.asarray(image)))
    elif image.mode == "F":
        image = Image.fromarray(_of_floats(np.asarray(image), name))
    elif image.mode in TRANSPARENT_MODES or "transparency" in image.info:
        ground = Image.new("RGBA", image.size, WHITE)
        ground.alpha_composite(image.convert("RGBA"))
        return ground.convert("RGB")
    return image.convert("RGB")
