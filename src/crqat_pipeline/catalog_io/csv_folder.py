"""Tables by name: a folder of CSV files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from crqat_pipeline.catalog_io.local_file import LocalFile
from crqat_pipeline.runtime.atomic import atomic_path

if TYPE_CHECKING:
    import pandas as pd


class CsvFolder(LocalFile["Mapping[str, pd.DataFrame]", "dict[str, pd.DataFrame]"]):
    """name -> data frame. save() writes <name>.csv for every name and leaves other files; load() reads all of them."""

    def save(self, data: Mapping[str, pd.DataFrame]) -> None:
        for name, frame in data.items():
            with atomic_path(self.path / f"{name}.csv") as temporary:
                temporary.write_text(frame.to_csv(index=False, lineterminator="\n"), encoding="utf-8")

    def load(self) -> dict[str, pd.DataFrame]:
        import pandas as pd

        return {path.stem: pd.read_csv(path) for path in sorted(self.existing_path().glob("*.csv"))}
