"""Images per second that one core turns into training batches at the paper's size, and what sharing a batch costs.

    python benchmarks/loader.py                                    # 640 px, YOLO-World's pre-training augmentation
    python benchmarks/loader.py --workers 8 64 --batch 512
    python benchmarks/loader.py --json out.json

Photographs are drawn (noise over shapes, JPEG of quality 90) in the sizes of Objects365, none is downloaded. Times are
processor time of this process, which other work on the machine hardly touches; one thread. A row without --workers
makes whole batches; with W workers it makes the part of the last one, which follows the boxes of all images before it.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from pathlib import Path
from time import process_time

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
from PIL import Image

from crqat_pipeline.detection_data.image_folder import ImageFolder
from crqat_pipeline.detection_data.loader_spec import LoaderSpec
from crqat_pipeline.detection_data.prepared_split import prepare_split
from crqat_pipeline.detection_data.prompt_sampling import PromptSampler
from crqat_pipeline.detection_data.training_loader import BatchPart, TrainingBatches
from crqat_pipeline.structures.vocabulary import TextBank

SIDES_PX = ((768, 1024), (683, 1024), (1024, 768), (960, 1280))
"""Heights and widths that are common there."""
BOXES_PER_IMAGE, NUM_CATEGORIES = 15, 365
PRE_TRAINING = {
    "use_photometric": True,
    "use_affine": True,
    "mosaic_probability": 1.0,
    "scale_gain": 0.9,
    "num_prompts": 80,
}
WAYS = {
    "decode and letterbox": {"use_photometric": False, "use_affine": False, "mosaic_probability": 0.0},
    "and hue, saturation, value": {"use_affine": False, "mosaic_probability": 0.0},
    "and scale, shift": {"mosaic_probability": 0.0},
    "and mosaic (the paper's recipe)": {},
}


def draw(folder: Path, number: int, random: np.random.Generator) -> dict[str, object]:
    height, width = SIDES_PX[number % len(SIDES_PX)]
    small = random.integers(0, 255, (height // 16, width // 16, 3), dtype=np.uint8)
    image = Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC)
    noisy = np.asarray(image, np.int16) + random.integers(-12, 12, (height, width, 3), dtype=np.int16)
    name = f"{number:06d}.jpg"
    Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(folder / name, quality=90)
    return {"id": number, "file_name": name, "width": width, "height": height}


def made_data(folder: Path, num_images: int) -> tuple[object, ImageFolder, TextBank]:
    random = np.random.default_rng(0)
    images = [draw(folder, number, random) for number in range(num_images)]
    boxes = []
    for image in images:
        corner = random.uniform(0, 0.6, (BOXES_PER_IMAGE, 2)) * [image["width"], image["height"]]
        side = random.uniform(20, 300, (BOXES_PER_IMAGE, 2))
        for box in np.concatenate([corner, side], axis=1).tolist():
            boxes.append({"image_id": image["id"], "category_id": int(random.integers(NUM_CATEGORIES)), "bbox": box})
    categories = [{"id": number, "name": f"category {number}"} for number in range(NUM_CATEGORIES)]
    split = prepare_split({"images": images, "annotations": boxes, "categories": categories})
    bank = TextBank(split.vocabulary.names, torch.zeros(NUM_CATEGORIES, 8), "none", is_normalized=False)
    return split, ImageFolder(folder), bank


def seconds_per_batch(data: tuple, spec: LoaderSpec, part: BatchPart, batches: int) -> float:
    split, images, bank = data
    dataset = TrainingBatches(split, images, PromptSampler(split.vocabulary, bank, spec), spec, 0, part)
    dataset[0]
    started = process_time()
    for number in range(1, 1 + batches):
        dataset[number]
    return (process_time() - started) / batches


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=32)
    parser.add_argument("--size", type=int, default=640)
    parser.add_argument("--batch", type=int, default=8, help="images of a whole batch")
    parser.add_argument("--batches", type=int, default=2)
    parser.add_argument("--workers", type=int, nargs="*", default=[], help="measure the part of the last of so many")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        data = made_data(Path(folder), options.images)
        if not options.workers:
            for way, changes in WAYS.items():
                spec = LoaderSpec(image_size_px=options.size, batch_size=options.batch, **PRE_TRAINING | changes)
                seconds = seconds_per_batch(data, spec, BatchPart(), options.batches)
                rows[way] = options.batch / seconds
                print(f"{way}: {rows[way]:.1f} images/s per core", flush=True)
        for number in options.workers:
            spec = LoaderSpec(image_size_px=options.size, batch_size=options.batch, **PRE_TRAINING)
            part = BatchPart(number - 1, number)
            own = len(part.rows(options.batch))
            seconds = seconds_per_batch(data, spec, part, options.batches)
            rows[f"{number} workers"] = own / seconds
            print(
                f"last of {number} workers, {own} of {options.batch}: {own / seconds:.1f} images/s per core", flush=True
            )
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
