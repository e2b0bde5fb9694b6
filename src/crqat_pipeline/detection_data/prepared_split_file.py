"""A prepared split as one Parquet file: a row per image, categories in its metadata.

The format: docs/formats/prepared_split.md.
"""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import ValidationError

from crqat_pipeline.detection_data.image_table import SCHEMA, ImageTable
from crqat_pipeline.detection_data.prepared_split import PreparedSplit

METADATA_KEY = b"crqat"
FORMAT = "crqat prepared split 1"
LARGEST_METADATA_BYTES = 2**30


class PreparedSplitFileError(ValueError):
    """A file that is no prepared split; the message says what it lacks."""


def write_prepared_split(path: Path, split: PreparedSplit) -> None:
    """The same split gives the same bytes."""
    categories = [category.model_dump(mode="json") for category in split.categories]
    header = json.dumps({"format": FORMAT, "categories": categories}, ensure_ascii=False, separators=(",", ":"))
    table = split.images.table.replace_schema_metadata({METADATA_KEY: header.encode()})
    pq.write_table(table, path, compression="zstd", store_schema=True)


def read_prepared_split(path: Path) -> PreparedSplit:
    """What write_prepared_split wrote. Raises PreparedSplitFileError for anything else."""
    try:
        limit = LARGEST_METADATA_BYTES
        table = pq.read_table(path, thrift_string_size_limit=limit, partitioning=None)
        header = json.loads((table.schema.metadata or {})[METADATA_KEY])
        if header["format"] != FORMAT:
            raise PreparedSplitFileError(f"its format is {header['format']!r} and not {FORMAT!r}")
        images = ImageTable(table.replace_schema_metadata(None).cast(SCHEMA))
        del table
        pa.default_memory_pool().release_unused()  # what decompression took: as much as the columns
        return PreparedSplit(images=images, categories=header["categories"])
    except KeyError as error:
        raise PreparedSplitFileError(f"it lacks {error} in its metadata") from error
    except ValidationError as error:
        first = error.errors()[0]["msg"]
        raise PreparedSplitFileError(f"{error.error_count()} faults in its categories, first: {first}") from error
    except PreparedSplitFileError:
        raise
    except ValueError as error:
        raise PreparedSplitFileError(f"it cannot be read as Parquet with the columns of a split ({error})") from error
