"""A prepared split as one Parquet file: a row per image, categories in its metadata.

The format: docs/formats/prepared_split.md.
"""

from __future__ import annotations

import hashlib
import json
import logging
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import ValidationError

from crqat_pipeline.detection_data.image_table import SCHEMA, ImageTable
from crqat_pipeline.detection_data.prepared_split import PreparedSplit
from crqat_pipeline.runtime.bounded_json import parse_json

METADATA_KEY, DIGEST_KEY = b"crqat", "sha256"
FORMAT = "crqat prepared split 1"
LARGEST_METADATA_BYTES = 2**30
log = logging.getLogger(__name__)


class PreparedSplitFileError(ValueError):
    """A file that is no prepared split; the message says what it lacks."""


def write_prepared_split(path: Path, split: PreparedSplit) -> None:
    """The same split gives the same bytes."""
    header = {"format": FORMAT, "categories": [category.model_dump(mode="json") for category in split.categories]}
    text = _as_json(header | {DIGEST_KEY: _digest(header, split.images)})
    table = split.images.table.replace_schema_metadata({METADATA_KEY: text.encode()})
    pq.write_table(table, path, compression="zstd", store_schema=True)


def read_prepared_split(path: Path) -> PreparedSplit:
    """What write_prepared_split wrote. Raises PreparedSplitFileError for anything else."""
    try:
        limit = LARGEST_METADATA_BYTES
        table = pq.read_table(path, thrift_string_size_limit=limit, partitioning=None)
        header = parse_json((table.schema.metadata or {})[METADATA_KEY])
        if not isinstance(header, dict) or header["format"] != FORMAT:
            raise PreparedSplitFileError(f"its metadata is {str(header)[:40]!r} and not of the format {FORMAT!r}")
        images = ImageTable(table.replace_schema_metadata(None).cast(SCHEMA))
        del table
        pa.default_memory_pool().release_unused()  # what decompression took: as much as the columns
        expected = header.pop(DIGEST_KEY, None)
        if expected is None:
            log.info("%s was written before splits had checksums: whether it changed since cannot be told.", path)
        elif set(header) != {"format", "categories"} or expected != _digest(header, images):
            raise PreparedSplitFileError("it was altered: its content has another checksum than it records")
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


def _as_json(header: dict[str, Any]) -> str:
    return json.dumps(header, ensure_ascii=False, separators=(",", ":"))


def _digest(header: dict[str, Any], images: ImageTable) -> str:
    """Over the metadata without the digest, keys in order, and the content of the columns."""
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    return hashlib.sha256(f"{text}\0{images.digest}".encode()).hexdigest()
