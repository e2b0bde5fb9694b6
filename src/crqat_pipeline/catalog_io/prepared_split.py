"""What a stage sees of a data set: images, boxes, categories."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kedro.io import DatasetError
from kedro_datasets._typing import TablePreview

from crqat_pipeline.catalog_io.local_file import LocalFile
from crqat_pipeline.catalog_io.preview import NUM_ROWS, table_preview

if TYPE_CHECKING:
    from crqat_pipeline.detection_data.prepared_split import PreparedSplit


class PreparedSplitDataset(LocalFile["PreparedSplit", "PreparedSplit"]):
    """detection_data.PreparedSplit as Parquet."""

    def save(self, data: PreparedSplit) -> None:
        from crqat_pipeline.detection_data.prepared_split_file import write_prepared_split

        with self.replacing() as temporary:
            write_prepared_split(temporary, data)

    def load(self) -> PreparedSplit:
        from crqat_pipeline.detection_data.prepared_split_file import PreparedSplitFileError, read_prepared_split

        path = self.existing_path()
        try:
            return read_prepared_split(path)
        except PreparedSplitFileError as error:
            raise DatasetError(
                f"{path} is not a prepared split: {error}. Make it again: kedro run --pipelines=data_prep."
            ) from error

    def preview(self, nrows: int = NUM_ROWS) -> TablePreview:
        """The first images: name, size in pixels, number of boxes."""
        import pandas as pd

        split = self.load()
        rows = [
            {
                "id": one.id,
                "file_name": one.file_name,
                "width": one.width,
                "height": one.height,
                "boxes": len(one.category_ids),
            }
            for one, _ in zip(split.images, range(nrows), strict=False)
        ]
        return table_preview(pd.DataFrame(rows), nrows)
