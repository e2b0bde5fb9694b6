"""Peak memory of fetch_data's check and of data_prep on a large annotation file, each in a process of its own.

    python benchmarks/annotation_memory.py --boxes 5000000

The file is made: Objects365-like records (15 boxes an image, 365 categories), images that are empty files and are not
decoded. It is the training data; QAT and validation data are small. --faulty: a share of boxes that leave their image.
--mixture: an eighth of the boxes are those of a second file, captions with six phrases each in GQA's layout, and both
are read as the paper's recipe reads them.
Peak: the largest resident memory, imports included.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from time import perf_counter, process_time
from typing import Any, TextIO

import numpy as np

from crqat_pipeline.catalog_io.annotations import AnnotationsDataset
from crqat_pipeline.detection_data.annotation_file import AnnotationFile
from crqat_pipeline.detection_data.image_folder import ImageFolder
from crqat_pipeline.detection_data.prepared_split_file import write_prepared_split
from crqat_pipeline.detection_data.sources import SourceFolders, SourceMixture, SourceSpec
from crqat_pipeline.recipes import data
from crqat_pipeline.recipes.specs import DataPrepSpec, FetchDataSpec, RunSpec

BOXES_PER_IMAGE, CATEGORIES, SIDE_PX = 15, 365, 640
PHRASES_PER_CAPTION, SHARE_OF_CAPTIONS = 6, 1 / 8
RECORDS_AT_ONCE = 100_000
PREPARATION = DataPrepSpec.model_validate(
    {
        "text_encoder": "words",
        "text_encoders": {"words": {"name": "composed", "words": ["category"], "embedding_dim": 8, "seed": 0}},
    }
)
"""No vocabulary is embedded here."""


def name_of(image: int) -> str:
    return f"patch{image % 50}/objects365_v1_{image:08d}.jpg"


def write(file: TextIO, num_boxes: int, faulty: float) -> int:
    """An annotation file; returns the number of its images."""
    random = np.random.default_rng(0)
    num_images = max(num_boxes // BOXES_PER_IMAGE, 1)
    file.write('{"images": [')
    for image in range(num_images):
        record = {"id": image, "file_name": name_of(image), "width": SIDE_PX, "height": SIDE_PX, "license": 1}
        file.write(("," if image else "") + json.dumps(record))
    file.write('], "annotations": [')
    for first in range(0, num_boxes, RECORDS_AT_ONCE):
        count = min(RECORDS_AT_ONCE, num_boxes - first)
        starts_M2 = random.uniform(0, 300, (count, 2)) + 400 * (random.random((count, 1)) < faulty)
        sides_M4 = np.concatenate([starts_M2, random.uniform(1, 300, (count, 2))], axis=1).round(3)
        for box, sides in enumerate(sides_M4.tolist(), first):
            area = round(sides[2] * sides[3], 3)
            ids = f'"id":{box},"image_id":{box % num_images},"category_id":{box % CATEGORIES}'
            file.write(f'{"," if box else ""}{{{ids},"iscrowd":0,"isfake":0,"area":{area},"bbox":{sides}}}')
    categories = [{"id": number, "name": f"category {number}"} for number in range(CATEGORIES)]
    file.write(f'], "categories": {json.dumps(categories)}}}')
    return num_images


def write_captions(file: TextIO, num_boxes: int) -> None:
    """Captions of the first images, with about 200,000 different phrases."""
    random = np.random.default_rng(1)
    num_images = max(num_boxes // PHRASES_PER_CAPTION, 1)
    spans: list[list[list[int]]] = []
    file.write('{"images": [')
    for image in range(num_images):
        numbers = random.integers(0, 450, (PHRASES_PER_CAPTION, 2)).tolist()
        caption = ""
        for kind, thing in numbers:
            phrase = f"kind{kind} thing{thing}"
            spans.append([[len(caption), len(caption) + len(phrase)]])
            caption += f"{phrase} near "
        record = {"id": image, "file_name": name_of(image), "width": SIDE_PX, "height": SIDE_PX, "caption": caption}
        file.write(("," if image else "") + json.dumps({**record, "dataset_name": "mixed", "original_id": image}))
    file.write('], "annotations": [')
    for box, span in enumerate(spans):
        record = {"id": box, "image_id": box // PHRASES_PER_CAPTION, "category_id": 1, "iscrowd": 0, "area": 100.0}
        bbox = [*random.uniform(0, 300, 2).round(3).tolist(), 10.5, 20.25]
        file.write(("," if box else "") + json.dumps({**record, "bbox": bbox, "tokens_positive": span}))
    file.write('], "categories": [{"id": 1, "name": "object"}]}')


def training_data(folder: Path) -> tuple[Mapping[str, Any], ImageFolder]:
    images, captions = folder / "images", folder / "captions.json"
    if not captions.is_file():
        return read(folder / "large.json"), ImageFolder(images)
    files = {"objects365": folder / "large.json", "grounding": captions}
    specs = {name: SourceSpec(layout=name, annotations=path, images=images) for name, path in files.items()}
    return SourceMixture(specs), SourceFolders(dict.fromkeys(files, images))


def read(path: Path) -> AnnotationFile:
    annotations = AnnotationsDataset(filepath=str(path)).load()
    assert annotations is not None
    return annotations


def measure(step: str, folder: Path) -> None:
    started, cpu = perf_counter(), process_time()
    train, images = training_data(folder)
    qat, val, small = read(folder / "small.json"), read(folder / "small.json"), ImageFolder(folder / "images")
    if step == "fetch_data":
        splits = {"train": (train, images), "qat": (qat, small), "val": (val, small)}
        report = data.check_data(splits, FetchDataSpec(source="files", decode_every_image=False))
        said = f"{report['train']['num_boxes']} boxes, {report['train'].get('left_out', 'none left out')}"
    else:
        splits_made = data.prepare_splits(train, qat, val, PREPARATION, RunSpec(seed=0))
        write_prepared_split(folder / "train_set.parquet", splits_made.train_set)
        write_prepared_split(folder / "qat_set.parquet", splits_made.qat_set)
        said = f"train_set {splits_made.train_set.images.num_boxes} boxes"
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    spent = process_time() - cpu
    print(
        f"{step}: {perf_counter() - started:.0f} s, {spent:.0f} s of processor time, peak {peak:.2f} GiB; {said}",
        flush=True,
    )


def make(folder: Path, num_boxes: int, faulty: float, is_mixture: bool) -> None:
    num_captioned = round(num_boxes * SHARE_OF_CAPTIONS) if is_mixture else 0
    with (folder / "large.json").open("w") as file:
        num_images = write(file, num_boxes - num_captioned, faulty)
    if is_mixture:
        with (folder / "captions.json").open("w") as file:
            write_captions(file, num_captioned)
    with (folder / "small.json").open("w") as file:
        write(file, 1000, 0)
    for patch in range(50):
        (folder / "images" / f"patch{patch}").mkdir(parents=True)
    for image in range(num_images):
        (folder / "images" / name_of(image)).touch()
    size = sum(path.stat().st_size for path in folder.glob("*.json")) / 2**30
    print(f"{num_images} images, {num_boxes} boxes, {size:.2f} GiB of JSON", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--boxes", type=int, default=5_000_000)
    parser.add_argument("--faulty", type=float, default=0.0)
    parser.add_argument("--mixture", action="store_true")
    parser.add_argument("--folder", type=Path, help="where the file is made, or is; a temporary folder otherwise")
    parser.add_argument("--step", choices=("fetch_data", "data_prep"), help="with --folder: one of the two")
    options = parser.parse_args()
    if options.step:
        measure(options.step, options.folder)
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        if not (folder / "large.json").is_file():
            make(folder, options.boxes, options.faulty, options.mixture)
        for step in ("fetch_data", "data_prep"):
            command = [sys.executable, __file__, "--step", step, "--folder", str(folder)]
            subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
