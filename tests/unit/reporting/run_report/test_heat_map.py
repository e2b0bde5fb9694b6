"""Figure 4 drawn: one scale of colours, and the picture without its letterbox."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from crqat_pipeline.detection_data.image_folder import ImageFolder
from crqat_pipeline.reporting.run_report.heat_map import (
    PICTURE_PX,
    colour_range,
    heat_map_picture,
    heat_map_rows,
    scale_colours,
)
from crqat_pipeline.reporting.run_report.sheets import heat_map_sheet

LABELS = {"teacher": "Teacher (full precision)", "crqat": "CR-QAT"}
MAPS = {
    "image_size_px": 64,
    "images": [
        {
            "file_name": "b.png",
            "classes": ["lamp"],
            "forms": {"teacher": [[0.5, -0.25], [0.0, 0.0]], "crqat": [[0.0, 0.75], [None, 0.0]]},
        }
    ],
}


@pytest.fixture
def images(tmp_path: Path) -> ImageFolder:
    Image.new("RGB", (64, 33), "red").save(tmp_path / "b.png")
    return ImageFolder(tmp_path)


def test_one_scale_for_all_forms() -> None:
    assert colour_range(MAPS) == (-0.25, 0.75)
    assert colour_range({"image_size_px": 64, "images": []}) == (-1.0, 1.0)
    flat = {"file_name": "b.png", "classes": [], "forms": {"teacher": [[0.5]]}}
    low, high = colour_range({"image_size_px": 64, "images": [flat]})
    assert low == 0.5 < high


def test_pictures_show_the_image_without_its_letterbox(images: ImageFolder) -> None:
    (row,) = heat_map_rows(MAPS, images, LABELS)
    assert row.title == "b.png: lamp"
    assert list(row.pictures) == ["Image", "Teacher (full precision)", "CR-QAT"]
    scale = PICTURE_PX // 64
    assert {picture.size for picture in row.pictures.values()} == {(64 * scale, 33 * scale)}
    assert np.asarray(row.pictures["Image"]).reshape(-1, 3).tolist() == [[255, 0, 0]] * (64 * 33 * scale**2)


def test_the_sheet_has_a_column_per_picture_and_the_scale(images: ImageFolder) -> None:
    sheet = heat_map_sheet(heat_map_rows(MAPS, images, LABELS), *colour_range(MAPS))
    assert [axes.get_title() for axes in sheet.axes[:3]] == ["Image", "Teacher (full precision)", "CR-QAT"]
    assert sheet.axes[3].get_ylim() == (-0.25, 0.75)
    assert heat_map_sheet([], -1.0, 1.0).axes


def test_heat_map_pictures_share_a_scale() -> None:
    image = Image.new("RGB", (33, 17), "black")
    cold, hot = (
        np.asarray(heat_map_picture(image, torch.full((2, 3), value), 0.0, 1.0)).mean() for value in (0.1, 0.9)
    )
    assert hot > 2 * cold
    with pytest.raises(ValueError, match=r"low < high; got 1.0 and 1.0"):
        heat_map_picture(image, torch.zeros(2, 3), 1.0, 1.0)


def test_colours_tell_similarity_and_not_what_the_image_has() -> None:
    red, green = (Image.new("L", (8, 8), 90).convert("RGB") for _ in range(2))
    red.putdata([(255, 0, 0)] * 64)
    green.putdata([(0, 130, 0)] * 64)  # as bright as that red
    maps = torch.full((2, 2), 0.5)
    pictures = [np.asarray(heat_map_picture(one, maps, 0.0, 1.0)).astype(int) for one in (red, green)]
    assert np.abs(pictures[0] - pictures[1]).max() <= 1


def test_the_legend_runs_from_dark_to_bright() -> None:
    colours = scale_colours(5)
    sums = [sum(int(one[i : i + 2], 16) for i in (1, 3, 5)) for one in colours]
    assert len(colours) == 5
    assert sums == sorted(sums)
