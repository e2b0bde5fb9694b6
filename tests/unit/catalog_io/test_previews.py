"""What Kedro-Viz gets: the band of each entry, and rows or pictures by the type that it looks for."""

import base64
import inspect
import io
import json

import pandas as pd
import pytest
from PIL import Image

from crqat_pipeline.catalog_io.csv_table import CsvTable
from crqat_pipeline.catalog_io.figure import FigureDataset
from crqat_pipeline.catalog_io.image_folder import ImageFolderDataset
from crqat_pipeline.catalog_io.json_document import JsonDocument
from crqat_pipeline.catalog_io.prepared_split import PreparedSplitDataset
from crqat_pipeline.catalog_io.vocabulary import VocabularyDataset
from crqat_pipeline.detection_data.image_table import PreparedImage
from crqat_pipeline.detection_data.prepared_split import PreparedCategory, PreparedSplit
from crqat_pipeline.structures.vocabulary import Vocabulary


def picture(text: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(text)))


@pytest.mark.parametrize(
    ("kind", "shown"),
    [
        (CsvTable, "TablePreview"),
        (VocabularyDataset, "TablePreview"),
        (PreparedSplitDataset, "TablePreview"),
        (FigureDataset, "ImagePreview"),
        (ImageFolderDataset, "ImagePreview"),
        (JsonDocument, "JSONPreview"),
    ],
)
def test_the_type_says_how_it_is_shown(kind, shown):
    annotation = inspect.signature(kind.preview).return_annotation  # as Kedro-Viz reads it
    assert getattr(annotation, "__name__", str(annotation)) == shown


def test_the_layer_is_the_folder():
    table = CsvTable(filepath="/p/data/smoke/08_reporting/qat/history.csv", metadata={"mlflow": "artifact"})
    assert table.metadata == {"kedro-viz": {"layer": "08_reporting"}, "mlflow": "artifact"}
    assert CsvTable(filepath="docs/results.csv").metadata is None
    named = {"kedro-viz": {"layer": "mine"}}
    assert CsvTable(filepath="data/01_raw/a.csv", metadata=named).metadata == named


def test_a_table_shows_its_first_rows_without_nan(tmp_path):
    table = CsvTable(filepath=str(tmp_path / "a.csv"))
    table.save(pd.DataFrame({"step": range(50), "loss": [None] * 50}))
    shown = table.preview(nrows=2)
    assert shown == {"index": [0, 1], "columns": ["step", "loss"], "data": [[0, None], [1, None]]}


def test_prompts_and_images_are_tables(tmp_path):
    words = VocabularyDataset(filepath=str(tmp_path / "v.json"))
    words.save(Vocabulary(("red ring", "moon"), (3, 7), (("red ring", "ring"), ("moon",)), {"novel": (7,)}))
    assert words.preview()["data"] == [["red ring", 3, "red ring, ring", ""], ["moon", 7, "moon", "novel"]]
    split = PreparedSplitDataset(filepath=str(tmp_path / "s.parquet"))
    one = PreparedImage(id=1, file_name="a.jpg", width=9, height=7, boxes_xyxy=((0, 1, 2.5, 3),), category_ids=(3,))
    split.save(PreparedSplit(images=(one,), categories=(PreparedCategory(id=3, synonyms=("ring",)),)))
    assert split.preview()["data"] == [[1, "a.jpg", 9, 7, 1]]


def test_pictures(tmp_path):
    figure = FigureDataset(filepath=str(tmp_path / "f.png"))
    figure.save(Image.new("RGB", (30, 20), "red"))
    assert picture(figure.preview()).size == (30, 20)
    for number in range(5):
        (tmp_path / "images").mkdir(exist_ok=True)
        Image.new("RGB", (400, 200), "blue").save(tmp_path / "images" / f"{number}.png")
    sheet = picture(ImageFolderDataset(filepath=str(tmp_path / "images"), given=True).preview())
    assert sheet.size == (448, 224)
    assert sheet.getpixel((5, 5)) == (0, 0, 255)
    assert sheet.getpixel((440, 200)) == (255, 255, 255)


def test_a_report_is_json(tmp_path):
    report = JsonDocument(filepath=str(tmp_path / "r.json"))
    report.save({"AP": 0.5})
    assert json.loads(report.preview()) == {"AP": 0.5}
