"""Photographs in a folder, always as upright 8-bit RGB, with refusals that name the file."""

from __future__ import annotations

from pathlib import Path, PurePosixPath, PureWindowsPath

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

SIXTEEN_BIT_STEP = 257


class ImageFileError(ValueError):
    """An image file that is missing, damaged, or not inside its folder."""


def to_rgb(image: Image.Image) -> Image.Image:
    """8-bit RGB from any pixel format: grey, palette, 16-bit and CMYK are converted, alpha is dropped."""
    if image.mode.startswith("I"):
        values = np.asarray(image).astype(np.int64)
        if values.max(initial=0) > 255:
            values = values // SIXTEEN_BIT_STEP
        image = Image.fromarray(values.clip(0, 255).astype(np.uint8))
    elif image.mode == "P":
        image = image.convert("RGBA")
    return image if image.mode == "RGB" else image.convert("RGB")


class ImageFolder:
    """Images below one folder, opened by the file_name of an annotation file."""

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root)
        self._located: dict[PurePosixPath, Path] = {}

    def __repr__(self) -> str:
        return f"ImageFolder({str(self.root)!r})"

    def path(self, file_name: str) -> Path:
        """Path of a file below the folder. Raises ImageFileError for a name that leaves the folder.

        The check reads the name only: links inside the folder are followed, as data version control makes them.
        """
        posix, windows = PurePosixPath(file_name), PureWindowsPath(file_name)
        leaves = posix.is_absolute() or windows.drive or windows.root or ".." in windows.parts
        if leaves or not posix.parts or "\0" in file_name:
            raise ImageFileError(
                f"Image name {file_name!r} does not stay inside the image folder {self.root}. Use names relative "
                "to the folder, without '..'."
            )
        return self.root / posix

    def locate(self, file_name: str) -> Path:
        """The path of an image whose name may begin with folders above this one.

        Objects365 writes "images/v1/patch8/a.jpg", LVIS "val2017/b.jpg", wherever those folders lie on this machine:
        the longest end of the name whose folder exists here is taken. Raises ImageFileError as `path` does.
        """
        exact = self.path(file_name)
        parent = PurePosixPath(file_name).parent
        if parent not in self._located:
            ends = (self.root.joinpath(*parent.parts[first:]) for first in range(len(parent.parts) + 1))
            self._located[parent] = next((folder for folder in ends if folder.is_dir()), exact.parent)
        return self._located[parent] / exact.name

    def open(self, file_name: str) -> Image.Image:
        """Decode to upright RGB (EXIF orientation applied). Raises ImageFileError if missing or damaged."""
        path = self.locate(file_name)
        try:
            with Image.open(path) as image:
                image.load()
                return to_rgb(ImageOps.exif_transpose(image))
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
            raise ImageFileError(
                f"Image file {file_name!r} does not exist in {self.root}. Check the image folder, or remove the "
                "image from the annotation file."
            ) from error
        except UnidentifiedImageError as error:
            raise ImageFileError(f"Image file {path} is not an image. Replace or remove it.") from error
        except MemoryError:
            raise
        except Exception as error:  # decoders of rare formats raise anything
            raise ImageFileError(
                f"Image file {path} is damaged or truncated ({error}). Copy it again or remove it."
            ) from error
