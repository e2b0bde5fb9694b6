"""Files that are used together mean the same by an id, or the run is refused with both names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from crqat_pipeline.detection_data.annotation_faults import AnnotationError
from crqat_pipeline.detection_data.annotation_file import AnnotationFile
from crqat_pipeline.detection_data.image_folder import ImageFolder
from crqat_pipeline.recipes.data import check_data
from crqat_pipeline.recipes.specs import FetchDataSpec

SPEC = FetchDataSpec(source="files", decode_every_image=False)
NAMES = {1: "dog", 2: "person"}
FILES = {1: "a.png", 2: "b.png"}


@pytest.fixture
def images(tmp_path: Path) -> ImageFolder:
    for name in FILES.values():
        Image.new("RGB", (40, 40)).save(tmp_path / name)
    return ImageFolder(tmp_path)


def content(names: dict[int, str], files: dict[int, str], federated: bool = False) -> dict[str, Any]:
    extra: dict[str, Any] = {"neg_category_ids": [], "not_exhaustive_category_ids": []} if federated else {}
    categories = [
        {"id": number, "name": name}
        | ({"synset": f"{name}.n.01", "synonyms": [name], "frequency": "f", "def": ""} if federated else {})
        for number, name in names.items()
    ]
    boxes = [
        {"id": n, "image_id": image, "category_id": category, "bbox": [2, 2, 9, 9], "area": 81, "iscrowd": 0}
        for n, (image, category) in enumerate(zip(files, names, strict=False), start=1)
    ]
    rows = [{"id": number, "file_name": name, "width": 40, "height": 40, **extra} for number, name in files.items()]
    return {"images": rows, "annotations": boxes, "categories": categories}


def check(images: ImageFolder, **changed: dict[str, Any]) -> dict[str, Any]:
    splits = {
        "train": content(NAMES, FILES),
        "qat": content(NAMES, FILES),
        "val": content(NAMES, FILES),
        "val_lvis": content(NAMES, FILES, federated=True),
    } | changed
    files = {name: (AnnotationFile(each, f"{name}.json"), images) for name, each in splits.items()}
    return check_data(files, SPEC)


def test_files_that_agree_pass(images: ImageFolder) -> None:
    assert set(check(images)) >= {"train", "qat", "val", "val_lvis"}


DISAGREEING = {
    "train": (content({1: "person", 2: "dog"}, FILES), "category 1 is 'person' here and 'dog' in val"),
    "val_lvis": (content(NAMES, {1: "b.png", 2: "a.png"}, True), "image 1 is 'b.png' here and 'a.png' in val"),
}


@pytest.mark.parametrize("name", DISAGREEING)
def test_a_file_that_disagrees_is_refused_by_its_name_with_ids_and_both_names(images: ImageFolder, name: str) -> None:
    changed, text = DISAGREEING[name]
    with pytest.raises(AnnotationError, match=text) as refusal:
        check(images, **{name: changed})
    assert f"{name}.json" in str(refusal.value)
