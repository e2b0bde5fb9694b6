"""Photographs in a folder, found by the names of an annotation file."""

from __future__ import annotations

from pathlib import Path, PurePosixPath, PureWindowsPath

from PIL import Image

from crqat_pipeline.detection_data.image_reading import ExifOrientation, ImageError, open_image, orientation

ImageFileError = ImageError
"""The one error of images; this is the name that readers of folders know it by."""


class ImageFolder:
    """Images below one folder, opened by the file_name of an annotation file.

    exif_orientation: ignore reads the pixels as they are stored, for boxes that were drawn on them so.
    """

    def __init__(self, root: str | Path, exif_orientation: ExifOrientation = "apply") -> None:
        self.root = Path(root)
        self.exif_orientation: ExifOrientation = exif_orientation
        self._located: dict[PurePosixPath, Path] = {}

    def __repr__(self) -> str:
        options = "" if self.exif_orientation == "apply" else f", exif_orientation={self.exif_orientation!r}"
        return f"ImageFolder({str(self.root)!r}{options})"

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
        """Decode to 8-bit RGB as `open_image` does. Raises ImageFileError if missing or damaged."""
        path = self.locate(file_name)
        if not path.is_file():
            raise ImageFileError(
                f"Image file {file_name!r} does not exist in {self.root}. Check the image folder, or remove the "
                "image from the annotation file."
            )
        return open_image(path, self.exif_orientation)

    def orientation_hint(self, file_name: str) -> str:
        """What to do about sides that are swapped because of the file's EXIF orientation; "" where it has none."""
        turn = orientation(self.locate(file_name))
        if turn < 5:
            return ""
        said = f"The sides are swapped: the file has the EXIF orientation {turn}"
        if self.exif_orientation == "apply":
            return f"{said}, which is applied. Where the boxes were drawn without it, set exif_orientation: ignore"
        return f"{said}, which is ignored. Where the boxes were drawn upright, set exif_orientation: apply"
