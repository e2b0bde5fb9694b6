"""The prompts a detector is asked about."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from kedro.io import DatasetError
from kedro_datasets._typing import TablePreview

from crqat_pipeline.catalog_io.json_text import read
from crqat_pipeline.catalog_io.local_file import LocalFile
from crqat_pipeline.catalog_io.preview import NUM_ROWS, table_preview

if TYPE_CHECKING:
    from crqat_pipeline.structures.vocabulary import Vocabulary


class VocabularyDataset(LocalFile["Vocabulary", "Vocabulary"]):
    """structures.Vocabulary as JSON."""

    def save(self, data: Vocabulary) -> None:
        with self.replacing() as temporary:
            temporary.write_text(json.dumps(data.as_record(), ensure_ascii=False, indent=1) + "\n", encoding="utf-8")

    def load(self) -> Vocabulary:
        from crqat_pipeline.structures.vocabulary import Vocabulary

        path = self.existing_path()
        record = read(path, "A vocabulary")
        try:
            return Vocabulary.of_record(record)
        except (KeyError, TypeError, AttributeError) as error:
            raise DatasetError(
                f"A vocabulary needs names, category_ids, synonyms and splits; {path} does not hold them ({error!r}). "
                "Make it again: kedro run --pipelines=data_prep."
            ) from error

    def preview(self, nrows: int = NUM_ROWS) -> TablePreview:
        """Prompts with their other names and the splits that they are in."""
        import pandas as pd

        words = self.load()
        rows = [
            {
                "prompt": name,
                "category_id": number,
                "synonyms": ", ".join(synonyms),
                "splits": ", ".join(split for split, ids in words.splits.items() if number in ids),
            }
            for name, number, synonyms in zip(words.names, words.category_ids, words.synonyms, strict=True)
        ]
        return table_preview(pd.DataFrame(rows), nrows)
