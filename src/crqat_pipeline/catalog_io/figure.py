"""Pictures for people: plots and galleries."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kedro.io import DatasetError
from kedro_datasets._typing import ImagePreview

from crqat_pipeline.catalog_io.local_file import LocalFile
from crqat_pipeline.catalog_io.preview import picture_preview

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from PIL.Image import Image


class FigureDataset(LocalFile["Figure | Image", "Image"]):
    """PNG of a matplotlib figure (at `dpi`) or a PIL image; loads as a PIL image."""

    def __init__(self, *, filepath: str, dpi: int = 110, metadata: dict[str, Any] | None = None) -> None:
        super().__init__(filepath=filepath, metadata=metadata)
        self._dpi = dpi

    def save(self, data: Figure | Image) -> None:
        from PIL.Image import Image

        with self.replacing() as temporary:
            if isinstance(data, Image):
                data.save(temporary, format="PNG")
            else:  # without the Software tag, the bytes do not depend on the version of matplotlib
                data.savefig(temporary, format="png", dpi=self._dpi, metadata={"Software": None})

    def load(self) -> Image:
        from PIL import Image, UnidentifiedImageError

        path = self.existing_path()
        try:
            with Image.open(path) as image:
                image.load()
                return image.copy()
        except (UnidentifiedImageError, OSError) as error:
            raise DatasetError(
                f"A picture must be a whole PNG; {path} is not ({error}). Make it again: kedro run "
                "--pipelines=evaluation."
            ) from error

    def preview(self) -> ImagePreview:
        return picture_preview(self.existing_path().read_bytes())
