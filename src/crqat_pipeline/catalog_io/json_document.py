"""Small JSON reports and metrics."""

from __future__ import annotations

import json
from typing import Any

from crqat_pipeline.catalog_io.json_text import finite, read
from crqat_pipeline.catalog_io.local_file import LocalFile


class JsonDocument(LocalFile[Any, Any]):
    """A JSON value, indented; numbers that are not finite become null."""

    def save(self, data: Any) -> None:
        with self.replacing() as temporary:
            temporary.write_text(json.dumps(finite(data), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")

    def load(self) -> Any:
        return read(self.existing_path(), "A report")
