"""Text embeddings of a vocabulary."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kedro.io import DatasetError

from crqat_pipeline.catalog_io.local_file import LocalFile

if TYPE_CHECKING:
    from crqat_pipeline.structures.vocabulary import TextBank


class TextBankDataset(LocalFile["TextBank", "TextBank"]):
    """structures.TextBank: the (K, D) embeddings as safetensors; prompts and encoder in the header."""

    def save(self, data: TextBank) -> None:
        from crqat_pipeline.model_files import write_text_bank

        with self.replacing() as temporary:
            write_text_bank(temporary, data)

    def load(self) -> TextBank:
        from crqat_pipeline.model_files import read_text_bank

        path = self.existing_path()
        try:
            return read_text_bank(path)
        except ValueError as error:
            raise DatasetError(f"{error} Make it again: kedro run --pipelines=data_prep.") from error
