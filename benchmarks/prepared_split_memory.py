"""Memory of a prepared split: its columns against records of Python objects, and what a forked process adds by reading.

    python benchmarks/prepared_split_memory.py --images 100000 --boxes 1230000

Images and boxes are random. Each way runs in a process of its own: it reads the split, then forks a child that reads
every image, as a loader process does. kept: resident memory after reading the file (and turning it into records), above
that of the imports; columns: bytes of the table alone; private: pages that the child made its own.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter

import numpy as np

from crqat_pipeline.detection_data.prepared_split import prepare_split
from crqat_pipeline.detection_data.prepared_split_file import read_prepared_split, write_prepared_split

MB = 2.0**20


def pages_mb(field: str) -> float:
    """A field of this process's smaps_rollup (Linux)."""
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{field}:")) / 1024


def write(path: Path, num_images: int, num_boxes: int) -> None:
    random = np.random.default_rng(0)
    image_M, sides_M4 = random.integers(0, num_images, num_boxes), random.integers(1, 300, (num_boxes, 4)) + 0.5
    images = [
        {"id": n, "file_name": f"objects365/patch{n % 50}/objects365_v1_{n:08d}.jpg", "width": 640, "height": 640}
        for n in range(num_images)
    ]
    boxes = [
        {"image_id": int(image), "category_id": n % 365, "bbox": sides.tolist()}
        for n, (image, sides) in enumerate(zip(image_M, sides_M4, strict=True))
    ]
    categories = [{"id": n, "name": f"category {n}"} for n in range(365)]
    write_prepared_split(path, prepare_split({"images": images, "annotations": boxes, "categories": categories}))


def measure(path: Path, way: str) -> None:
    before, started = pages_mb("Rss"), perf_counter()
    table = read_prepared_split(path).images
    seconds, columns = perf_counter() - started, table.table.nbytes / MB
    images = list(table) if way == "records" else table
    if way == "records":
        del table
    print(f"{way}: read {seconds:.1f} s, columns {columns:.0f} MB, kept {pages_mb('Rss') - before:.0f} MB", end=", ")
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        mine = pages_mb("Private_Dirty")
        sum(len(image.category_ids) for image in images)
        print(f"private {pages_mb('Private_Dirty') - mine:.0f} MB", flush=True)
        os._exit(0)
    os.waitpid(child, 0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=100_000)
    parser.add_argument("--boxes", type=int, default=1_230_000)
    parser.add_argument("--way", choices=["columns", "records"], help="one of the two, of --file")
    parser.add_argument("--file", type=Path, help="with --way: a prepared split")
    options = parser.parse_args()
    if options.way:
        measure(options.file, options.way)
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "split.parquet"
        write(path, options.images, options.boxes)
        print(f"file {path.stat().st_size / MB:.1f} MB")
        for way in ("columns", "records"):
            subprocess.run([sys.executable, __file__, "--way", way, "--file", str(path)], check=True)


if __name__ == "__main__":
    main()
