"""Text embeddings of a vocabulary."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kedro.io import DatasetError

from crqat_pipeline.catalog_io.local_file import LocalFile
from crqat_pipeline.catalog_io.tensor_file import read, write

if TYPE_CHECKING:
    from crqat_pipeline.structures.vocabulary import TextBank


class TextBankDataset(LocalFile["TextBank", "TextBank"]):
    """structures.TextBank: the (K, D) embeddings as safetensors; prompts and encoder in the header."""

    def save(self, data: TextBank) -> None:
        header = {"prompts": data.prompts, "encoder": data.encoder, "is_normalized": data.is_normalized}
        with self.replacing() as temporary:
            write(temporary, {"embeddings_KD": data.embeddings_KD}, header)

    def load(self) -> TextBank:
        from crqat_pipeline.structures.vocabulary import TextBank

        path = self.existing_path()
        tensors, header = read(path, "A text bank")
        try:
            return TextBank(
                prompts=tuple(header["prompts"]),
                embeddings_KD=tensors["embeddings_KD"],
                encoder=header["encoder"],
                is_normalized=header["is_normalized"],
            )
        except KeyError as error:
            raise DatasetError(
                f"A text bank needs embeddings_KD, prompts, encoder and is_normalized; {path} lacks {error}. "
                "Make it again: kedro run --pipelines=data_prep."
            ) from error
