"""Files that are made of published ones, and whether one that is there is still the one that would be made."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from crqat_pipeline.detection_data.lvis_names import under_lvis_names
from crqat_pipeline.detection_data.published.file_list import CocoCut, LvisBoxes, LvisCategories, Made, PublishedFiles
from crqat_pipeline.runtime.atomic import atomic_path
from crqat_pipeline.runtime.json_digest import json_digest
from crqat_pipeline.runtime.json_records import list_records
from crqat_pipeline.runtime.verified_download import WrongDigestError, sha256_of

BOX_KEYS = ("id", "image_id", "category_id", "bbox", "area", "iscrowd")
IMAGE_KEYS = ("id", "width", "height", "coco_url")
LVIS_KEYS = ("id", "name", "synset", "frequency", "synonyms")


def is_made(one: Made, files: PublishedFiles, folder: Path) -> bool:
    """Whether the file is there, whole, and made of the same sources."""
    path = folder / one.path
    if not path.is_file():
        return False
    if isinstance(one, LvisCategories):
        return sha256_of(path) == one.sha256
    try:
        info = json.loads(path.read_bytes())["info"]
        return bool(info["made_of"] == _digest(one, files))
    except (ValueError, KeyError, TypeError):
        return False


def make(one: Made, files: PublishedFiles, folder: Path) -> None:
    """Raises ValueError for sources that do not hold what is looked for, and then writes nothing."""
    content = _made(one, files, folder)
    with atomic_path(folder / one.path) as temporary:
        temporary.write_text(json.dumps(content), encoding="utf-8")
        if isinstance(one, LvisCategories) and sha256_of(temporary) != one.sha256:
            raise WrongDigestError(f"{one.path} as made of {one.source} has not the digest of the list. Report this.")


def _made(one: Made, files: PublishedFiles, folder: Path) -> Any:
    if isinstance(one, LvisCategories):
        return _lvis_categories(_read(folder / one.source))
    if isinstance(one, CocoCut):
        photographs = next(each for each in files.sets if each.what == one.photographs)
        content = coco_cut(folder / one.archive, one.member, [file.path for file in photographs.files])
    else:
        content = _lvis_boxes(one, folder)
    content["info"] |= {"made_of": _digest(one, files)}
    return content


def _digest(one: Made, files: PublishedFiles) -> str:
    """Of how it is made and of all digests that decide what is in it."""
    listed = [[file.path, file.sha256] for _, file in files.all_files()]
    makers = [each.model_dump() for each in files.made]
    return json_digest({"made": one.model_dump(), "files": listed, "makers": makers})


def coco_cut(archive: Path, member: str, image_paths: Iterable[str]) -> dict[str, Any]:
    """COCO annotations of these images alone, in their order; outlines are left out, areas stay those of the outlines.

    Raises ValueError for an archive without this member, or annotations without some of the images.
    """
    path_of = {int(PurePosixPath(path).stem): path for path in image_paths}
    try:
        with zipfile.ZipFile(archive) as opened:

            def records(key: str, wanted: Callable[[Any], bool]) -> list[Any]:
                with opened.open(member) as raw:
                    return [one for one in list_records(io.TextIOWrapper(raw, encoding="utf-8"), key) if wanted(one)]

            images = records("images", lambda one: one["id"] in path_of)
            boxes = records("annotations", lambda one: one["image_id"] in path_of)
            categories = records("categories", lambda one: True)
    except (zipfile.BadZipFile, KeyError) as error:
        raise ValueError(f"{archive} does not hold COCO annotations under {member} ({error}).") from error
    if len(images) < len(path_of):
        missing = sorted(path_of.keys() - {image["id"] for image in images})
        raise ValueError(f"{member} does not know {len(missing)} of the images, such as {missing[:3]}.")
    rank = {number: position for position, number in enumerate(path_of)}
    images.sort(key=lambda one: rank[one["id"]])
    boxes.sort(key=lambda one: (rank[one["image_id"]], one["id"]))
    return {
        "info": {"description": f"COCO 2017, {len(images)} images (annotations: COCO Consortium, CC BY 4.0)"},
        "images": [_with(image, IMAGE_KEYS) | {"file_name": path_of[image["id"]]} for image in images],
        "annotations": [_with(box, BOX_KEYS) for box in boxes],
        "categories": categories,
    }


def _with(record: Mapping[str, Any], keys: Iterable[str]) -> dict[str, Any]:
    return {key: record[key] for key in keys if key in record}


def _lvis_categories(categories: Any) -> list[dict[str, Any]]:
    return [_with(one, LVIS_KEYS) for one in sorted(categories, key=lambda one: int(one["id"]))]


def _lvis_boxes(one: LvisBoxes, folder: Path) -> dict[str, Any]:
    coco, beginning = _read(folder / one.annotations), f"{one.below.rstrip('/')}/"
    images = [
        {**image, "file_name": image["file_name"].removeprefix(beginning)}
        for image in coco["images"]
        if image["file_name"].startswith(beginning)
    ]
    chosen = {image["id"] for image in images}
    boxes = [box for box in coco["annotations"] if box["image_id"] in chosen]
    return under_lvis_names({**coco, "images": images, "annotations": boxes}, _read(folder / one.categories))


def _read(path: Path) -> Any:
    return json.loads(path.read_bytes())
