"""A prepared split as columns that processes of one machine share: mapped from a file, not copied by each.

It is made for the length of a training and read by those who train. What is kept is the Parquet file
(prepared_split_file), which is smaller and carries a digest.
"""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa

from crqat_pipeline.detection_data.image_table import SCHEMA, ImageTable
from crqat_pipeline.detection_data.prepared_split import PreparedSplit

CATEGORIES = b"categories"


def write_columns(path: Path, split: PreparedSplit) -> None:
    """Arrow's file format, not compressed."""
    categories = json.dumps([category.model_dump(mode="json") for category in split.categories])
    table = split.images.table.replace_schema_metadata({CATEGORIES: categories.encode()})
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
        writer.write_table(table)


def map_columns(path: Path) -> PreparedSplit:
    """What write_columns wrote; the file stays mapped as long as the split is used."""
    table = pa.ipc.open_file(pa.memory_map(str(path))).read_all()
    categories = json.loads(table.schema.metadata[CATEGORIES])
    return PreparedSplit(images=ImageTable(table.replace_schema_metadata(None).cast(SCHEMA)), categories=categories)
