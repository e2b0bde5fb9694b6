"""Peak memory of fetch_data's check and of data_prep on a large annotation file, each in a process of its own.

    python benchmarks/annotation_memory.py --boxes 5000000

The file is made: Objects365-like records (15 boxes an image, 365 categories), images that are empty files and are not
decoded. It is the training data; QAT and validation data are small. --faulty: a share of boxes that leave their image.
Peak: the largest resident memory, imports included.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter, process_time
from typing import TextIO

import numpy as np

from crqat_pipeline.catalog_io.annotations import AnnotationsDataset
from crqat_pipeline.detection_data.image_folder import ImageFolder
from crqat_pipeline.detection_data.prepared_split_file import write_prepared_split
from crqat_pipeline.recipes import data
from crqat_pipeline.recipes.specs import DataPrepSpec, FetchDataSpec, RunSpec

BOXES_PER_IMAGE, CATEGORIES, SIDE_PX = 15, 365, 640
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


def measure(step: str, folder: Path) -> None:
    images, started, cpu = ImageFolder(folder / "images"), perf_counter(), process_time()
    train, qat, val = (
        AnnotationsDataset(filepath=str(folder / name)).load() for name in ("large.json", "small.json", "small.json")
    )
    assert train is not None
    assert qat is not None
    assert val is not None
    if step == "fetch_data":
        splits = {"train": (train, images), "qat": (qat, images), "val": (val, images)}
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


def make(folder: Path, num_boxes: int, faulty: float) -> None:
    with (folder / "large.json").open("w") as file:
        num_images = write(file, num_boxes, faulty)
    with (folder / "small.json").open("w") as file:
        write(file, 1000, 0)
    for patch in range(50):
        (folder / "images" / f"patch{patch}").mkdir(parents=True)
    for image in range(num_images):
        (folder / "images" / name_of(image)).touch()
    size = (folder / "large.json").stat().st_size / 2**30
    print(f"{num_images} images, {num_boxes} boxes, {size:.2f} GiB of JSON", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--boxes", type=int, default=5_000_000)
    parser.add_argument("--faulty", type=float, default=0.0)
    parser.add_argument("--folder", type=Path, help="where the file is made, or is; a temporary folder otherwise")
    parser.add_argument("--step", choices=("fetch_data", "data_prep"), help="with --folder: one of the two")
    options = parser.parse_args()
    if options.step:
        measure(options.step, options.folder)
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        if not (folder / "large.json").is_file():
            make(folder, options.boxes, options.faulty)
        for step in ("fetch_data", "data_prep"):
            command = [sys.executable, __file__, "--step", step, "--folder", str(folder)]
            subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
