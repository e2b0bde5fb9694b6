"""Heat maps over images: where each form finds the classes of some images (the paper's figure 4).

Shape letters: h w cells of the map.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor

from crqat_pipeline.detection_data.image_folder import ImageFolder
from crqat_pipeline.detection_data.letterbox import letterbox
from crqat_pipeline.recipes.similarity import DIGITS, Maps
from crqat_pipeline.reporting.run_report.content import HeatMapRow

PICTURE_PX = 448
COLOUR_MAP = "inferno"


def heat_map_picture(image: Image.Image, map_hw: Tensor, low: float, high: float, opacity: float = 0.6) -> Image.Image:
    """The map over the image in grey, coloured from low to high: give all forms the same two to compare them."""
    if not low < high:
        raise ValueError(f"A heat map needs low < high; got {low} and {high}. Take them from all forms together.")
    from matplotlib import colormaps

    values = map_hw.nan_to_num(nan=low).clamp(low, high).numpy()
    small: npt.NDArray[np.float32] = ((values - low) / (high - low)).astype(np.float32)
    smooth = np.asarray(Image.fromarray(small).resize(image.size, Image.Resampling.BICUBIC)).clip(0, 1)
    colours = Image.fromarray((colormaps[COLOUR_MAP](smooth)[..., :3] * 255).astype(np.uint8))
    return Image.blend(image.convert("L").convert("RGB"), colours, opacity)


def scale_colours(number: int = 9) -> list[str]:
    """Colours from low to high as #rrggbb, for the legend of a page."""
    from matplotlib import colormaps
    from matplotlib.colors import to_hex

    return [to_hex(colormaps[COLOUR_MAP](step / (number - 1))) for step in range(number)]


def colour_range(maps: Maps) -> tuple[float, float]:
    """The lowest and the highest similarity of all forms and images: one scale for all; (-1, 1) without any."""
    if not maps["images"]:
        return -1.0, 1.0
    values = torch.cat([_map(rows).flatten() for entry in maps["images"] for rows in entry["forms"].values()])
    values = values[values.isfinite()]
    low, high = float(values.min()), float(values.max())
    return low, max(high, low + 10**-DIGITS)


def heat_map_rows(maps: Maps, images: ImageFolder, labels: Mapping[str, str]) -> Sequence[HeatMapRow]:
    """The image itself, then one picture per form, all on one scale of colours."""
    return [_row(entry, maps, images.open(entry["file_name"]), labels) for entry in maps["images"]]


def _row(entry: Maps, maps: Maps, image: Image.Image, labels: Mapping[str, str]) -> HeatMapRow:
    low, high = colour_range(maps)
    fitted, geometry = letterbox(image, maps["image_size_px"])
    left, top = geometry.left, geometry.top
    right, bottom = left + round(image.width * geometry.scale_x), top + round(image.height * geometry.scale_y)
    scale = max(1, PICTURE_PX // fitted.width)
    crop = (left * scale, top * scale, right * scale, bottom * scale)
    content = fitted.crop((left, top, right, bottom))  # before it grows: the grey around it would seep in
    content = content.resize((content.width * scale, content.height * scale), Image.Resampling.LANCZOS)
    large = Image.new("RGB", (fitted.width * scale, fitted.height * scale))
    large.paste(content, crop[:2])
    pictures = {"Image": content}
    for form, rows in entry["forms"].items():
        pictures[labels[form]] = heat_map_picture(large, _map(rows), low, high).crop(crop)
    return HeatMapRow(f"{entry['file_name']}: {', '.join(entry['classes'])}", pictures)


def _map(rows: Sequence[Sequence[float | None]]) -> torch.Tensor:
    return torch.tensor([[float("nan") if value is None else value for value in row] for row in rows])
