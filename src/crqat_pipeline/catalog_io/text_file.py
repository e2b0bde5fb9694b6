"""Reports as text."""

from __future__ import annotations

from crqat_pipeline.catalog_io.local_file import LocalFile


class TextFile(LocalFile[str, str]):
    """One UTF-8 text, for example the HTML report."""

    def save(self, data: str) -> None:
        with self.replacing() as temporary:
            temporary.write_text(data, encoding="utf-8")

    def load(self) -> str:
        return self.existing_path().read_text(encoding="utf-8")
