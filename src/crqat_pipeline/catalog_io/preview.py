"""What Kedro-Viz shows of a dataset in its side panel: some rows of a table, or a picture.

Kedro-Viz tells them apart by the return type of `preview()`: TablePreview, ImagePreview, JSONPreview.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

from kedro_datasets._typing import ImagePreview, TablePreview

if TYPE_CHECKING:
    import pandas as pd
    from PIL.Image import Image

NUM_ROWS = 20
TILE_PX = 112
COLUMNS = 4


def table_preview(frame: pd.DataFrame, num_rows: int = NUM_ROWS) -> TablePreview:
    """The first rows; what is missing is null, which JSON has and NaN is not."""
    shown = frame.head(num_rows).astype(object)
    return TablePreview(shown.where(shown.notna(), None).to_dict(orient="split"))


def picture_preview(png: bytes) -> ImagePreview:
    return ImagePreview(base64.b64encode(png).decode("ascii"))


def contact_sheet(images: Sequence[Image]) -> ImagePreview:
    """Small copies side by side, COLUMNS to a row."""
    from PIL import Image as PillowImage

    rows = -(-len(images) // COLUMNS)
    sheet = PillowImage.new("RGB", (COLUMNS * TILE_PX, max(rows, 1) * TILE_PX), "white")
    for place, image in enumerate(images):
        small = image.copy()
        small.thumbnail((TILE_PX, TILE_PX))
        sheet.paste(small, (place % COLUMNS * TILE_PX, place // COLUMNS * TILE_PX))
    buffer = io.BytesIO()
    sheet.save(buffer, format="PNG")
    return picture_preview(buffer.getvalue())
