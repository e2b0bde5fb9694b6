"""Anything a person calls an image becomes RGB bytes, upright.

Shape letters: H W pixels, 3 RGB.
"""

from __future__ import annotations

from pathlib import Path
from typing import TypeAlias

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

ImageSource: TypeAlias = "str | Path | Image.Image | np.ndarray"
MAX_PIXELS = 200_000_000
SIXTEEN_BIT_MODES = ("I;16", "I;16B", "I;16L", "I;16N", "I")


class ImageError(ValueError):
    """An image that cannot be read; the text names it, says why and what to do."""


def open_image(source: ImageSource) -> Image.Image:
    """An RGB image in 8 bits per channel, EXIF orientation applied, alpha laid on white.

    source: a path, a PIL image, or an array (H, W), (H, W, 1 | 3 | 4) in RGB order; uint8, uint16, bool, or
    float in [0, 1]. Raises ImageError for what is none of these, is damaged, or has over 200 megapixels.
    """
    if isinstance(source, np.ndarray):
        return _rgb(_from_array(source))
    if isinstance(source, Image.Image):
        _check_size(source, "The given image")
        return _rgb(ImageOps.exif_transpose(source))
    if isinstance(source, (str, Path)):
        return _from_path(Path(source))
    raise ImageError(
        f"An image is a path, a PIL image or a NumPy array; got {type(source).__name__}. Convert it to one of these."
    )


def _from_path(path: Path) -> Image.Image:
    if not path.is_file():
        raise ImageError(f"No image file {path}. Check the path.")
    limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
    try:
        with Image.open(path) as opened:
            _check_size(opened, str(path))
            return _rgb(ImageOps.exif_transpose(opened))
    except UnidentifiedImageError as error:
        raise ImageError(f"{path} is not an image of a known format. Convert it to PNG or JPEG.") from error
    except (ImageError, MemoryError):
        raise
    except Exception as error:  # decoders of rare formats raise anything
        raise ImageError(f"{path} is damaged or cut off ({error}). Fetch it again or leave it out.") from error
    finally:
        Image.MAX_IMAGE_PIXELS = limit


def _check_size(image: Image.Image, name: str) -> None:
    width_px, height_px = image.size
    if width_px < 1 or height_px < 1:
        raise ImageError(f"{name} is empty ({width_px} × {height_px} px). Give at least one pixel.")
    if width_px * height_px > MAX_PIXELS:
        raise ImageError(
            f"{name} has {width_px} × {height_px} px; at most {MAX_PIXELS:,} pixels are read at once. "
            "Cut it into tiles or scale it down first."
        )


def _from_array(array_HW: np.ndarray) -> Image.Image:
    shape = array_HW.shape
    if array_HW.ndim not in (2, 3) or (array_HW.ndim == 3 and shape[2] not in (1, 3, 4)) or 0 in shape:
        raise ImageError(
            f"An image array has shape (H, W), (H, W, 1), (H, W, 3) or (H, W, 4); got {shape}. "
            "Move the channels last and give one image at a time."
        )
    if array_HW.ndim == 3 and shape[2] == 1:
        array_HW = array_HW[:, :, 0]
    if array_HW.shape[0] * array_HW.shape[1] > MAX_PIXELS:
        raise ImageError(
            f"The array has {shape} values; at most {MAX_PIXELS:,} pixels are read at once. Cut it into tiles or "
            "scale it down first."
        )
    return Image.fromarray(_eight_bits(array_HW))


def _eight_bits(array: np.ndarray) -> np.ndarray:
    if array.dtype == np.uint8:
        return np.ascontiguousarray(array)
    if array.dtype == np.bool_:
        return array.astype(np.uint8) * np.uint8(255)
    if array.dtype == np.uint16:
        return (array >> 8).astype(np.uint8)
    if np.issubdtype(array.dtype, np.floating):
        low, high = float(array.min()), float(array.max())
        if not (low >= 0.0 and high <= 1.0):
            raise ImageError(f"A float image holds values in [0, 1]; got {low:g} to {high:g}. Divide by 255?")
        return np.round(array * 255).astype(np.uint8)
    raise ImageError(f"An image array is uint8, uint16, bool or float in [0, 1]; got {array.dtype}. Convert it.")


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode in SIXTEEN_BIT_MODES:
        wide = np.clip(np.asarray(image), 0, 65535).astype(np.uint16)
        return Image.fromarray(_eight_bits(wide)).convert("RGB")
    if image.mode == "F":
        return Image.fromarray(_eight_bits(np.asarray(image))).convert("RGB")
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        layered = image.convert("RGBA")
        ground = Image.new("RGBA", layered.size, (255, 255, 255, 255))
        return Image.alpha_composite(ground, layered).convert("RGB")
    return image.convert("RGB")
