"""Folders of images: rendered into place, or the user's own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

from kedro.io import DatasetError
from kedro_datasets._typing import ImagePreview

from crqat_pipeline.catalog_io.given import GivenOrMade
from crqat_pipeline.catalog_io.preview import contact_sheet

if TYPE_CHECKING:
    from PIL.Image import Image

    from crqat_pipeline.detection_data.image_folder import ImageFolder
    from crqat_pipeline.detection_data.image_reading import ExifOrientation


class RenderedImages(Protocol):
    """Images that do not exist yet. render must be picklable when several workers render.

    fingerprint: what the pixels depend on; images of another fingerprint are rendered again.
    """

    names: Sequence[str]
    fingerprint: str

    def render(self, name: str) -> Image: ...


class ImageFolderDataset(GivenOrMade["RenderedImages", "ImageFolder"]):
    """save() renders what is missing or damaged, with `workers` processes; load() gives an ImageFolder.

    exif_orientation: "apply" turns photographs upright; "ignore" is for boxes that were drawn on the pixels as stored.
    """

    def __init__(
        self,
        *,
        filepath: str | None,
        given: bool = False,
        workers: int = 2,
        exif_orientation: ExifOrientation = "apply",
        metadata: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(filepath=filepath, given=given, metadata=metadata)
        if exif_orientation not in ("apply", "ignore"):
            raise DatasetError(f"exif_orientation is apply or ignore; got {exif_orientation!r}.")
        self._workers, self._exif_orientation = workers, exif_orientation

    def write(self, data: RenderedImages) -> None:
        from crqat_pipeline.detection_data.image_writer import write_images

        write_images(self.path, data.names, data.render, self._workers, fingerprint=data.fingerprint)

    def load(self) -> ImageFolder:
        from crqat_pipeline.detection_data.image_folder import ImageFolder

        path = self.existing_path()
        if not path.is_dir():
            raise DatasetError(f"Images must lie in a folder; {path} is a file. Name the folder that holds it.")
        return ImageFolder(path, self._exif_orientation)

    def preview(self, num_images: int = 12) -> ImagePreview:
        """Some images of the folder, small. A folder of a hundred thousand is not listed for it."""
        from itertools import islice

        from crqat_pipeline.detection_data.image_reading import is_image_name

        folder = self.load()
        files = (path for path in folder.root.rglob("*") if is_image_name(path))
        names = sorted(path.relative_to(folder.root).as_posix() for path in islice(files, num_images))
        return contact_sheet([folder.open(name) for name in names])
