"""Tables for curves and per-category results: plain CSV, which DVC plots and spreadsheets read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from kedro_datasets._typing import TablePreview

from crqat_pipeline.catalog_io.local_file import LocalFile
from crqat_pipeline.catalog_io.preview import NUM_ROWS, table_preview

if TYPE_CHECKING:
    import pandas as pd

Rows = Sequence[Mapping[str, Any]]


class CsvTable(LocalFile["pd.DataFrame | Rows", "pd.DataFrame"]):
    """A data frame, or rows as mappings; loads as a data frame. A table without columns is an empty file."""

    def save(self, data: pd.DataFrame | Rows) -> None:
        import pandas as pd

        frame = pd.DataFrame(data)
        text = frame.to_csv(index=False, lineterminator="\n") if len(frame.columns) else ""
        with self.replacing() as temporary:
            temporary.write_text(text, encoding="utf-8")

    def load(self) -> pd.DataFrame:
        import pandas as pd

        path = self.existing_path()
        return pd.read_csv(path) if path.stat().st_size else pd.DataFrame()

    def preview(self, nrows: int = NUM_ROWS) -> TablePreview:
        return table_preview(self.load(), nrows)
