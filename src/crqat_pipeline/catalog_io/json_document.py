"""Small JSON reports and metrics."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import Any

from kedro_datasets._typing import JSONPreview

from crqat_pipeline.catalog_io.json_text import finite, read
from crqat_pipeline.catalog_io.local_file import LocalFile


class JsonDocument(LocalFile[Any, Any]):
    """A JSON value, indented; numbers that are not finite become null.

    omit: top-level keys that stay out of the file because they differ between equal runs (times): a file that repeats
    bit for bit keeps DVC from running what follows. MLflow gets them all the same.
    """

    def __init__(self, *, filepath: str, omit: Collection[str] = (), metadata: dict[str, Any] | None = None) -> None:
        super().__init__(filepath=filepath, metadata=metadata)
        self._omit = frozenset(omit)

    def save(self, data: Any) -> None:
        if isinstance(data, Mapping):
            data = {key: value for key, value in data.items() if key not in self._omit}
        with self.replacing() as temporary:
            temporary.write_text(json.dumps(finite(data), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")

    def load(self) -> Any:
        return read(self.existing_path(), "A report")

    def preview(self) -> JSONPreview:
        return JSONPreview(json.dumps(self.load()))
