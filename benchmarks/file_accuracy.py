"""AP of model files on one annotation file: packed students, ONNX graphs and LiteRT files beside each other.

    python benchmarks/file_accuracy.py data/07_model_output/crqat.int4.safetensors model.onnx model.tflite \\
        --annotations data/01_raw/annotations/val.json --images data/01_raw/images/val --image-size 128

Every file answers with its own prompts, which are the categories in the order of their ids.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import torch

from crqat_pipeline.evaluation.evaluator import evaluate
from crqat_pipeline.inference import Predictor
from crqat_pipeline.runtime.progress import progress

SCORE_THRESHOLD, MAX_DETECTIONS = 0.001, 300


def read_truth(annotations: Path, limit: int | None) -> dict[str, Any]:
    """The annotation file, of the first images only where there is a limit."""
    truth: dict[str, Any] = json.loads(annotations.read_text(encoding="utf-8"))
    if limit:
        truth["images"] = truth["images"][:limit]
        kept = {image["id"] for image in truth["images"]}
        truth["annotations"] = [entry for entry in truth["annotations"] if entry["image_id"] in kept]
    return truth


def score(predictor: Predictor, truth: dict[str, Any], folder: Path, label: str) -> tuple[float, float, float]:
    """AP, AP50 and milliseconds per image (everything included)."""
    ids = [category["id"] for category in sorted(truth["categories"], key=lambda category: category["id"])]
    records = []
    start = time.perf_counter()
    for image in progress(truth["images"], label, unit="image"):
        (found,) = predictor.predict([folder / image["file_name"]], None, None, SCORE_THRESHOLD, MAX_DETECTIONS)
        for (left, top, right, bottom), value, column in zip(
            found.boxes_M4.tolist(), found.scores_M.tolist(), found.labels_M.tolist(), strict=True
        ):
            if right > left and bottom > top:
                box = [left, top, right - left, bottom - top]
                records.append({"image_id": image["id"], "category_id": ids[column], "bbox": box, "score": value})
    seconds = time.perf_counter() - start
    metrics = evaluate(truth, records, "coco").metrics
    return metrics["AP"], metrics["AP50"], 1000 * seconds / len(truth["images"])


def print_rows(rows: list[tuple[str, tuple[float, float, float]]]) -> None:
    """AP and AP50 in percent, and the difference of AP to the first row."""
    width = max(len(label) for label, _ in rows) + 2
    print(f"{'':<{width}}{'AP':>8}{'AP50':>8}{'to first':>10}{'ms/image':>10}")
    for label, (ap, ap50, milliseconds) in rows:
        moved = 100 * (ap - rows[0][1][0])
        print(f"{label:<{width}}{100 * ap:>8.2f}{100 * ap50:>8.2f}{moved:>+10.2f}{milliseconds:>10.1f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", type=Path, nargs="+")
    parser.add_argument("--annotations", type=Path, required=True)
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--image-size", type=int, help="of the input [default: the file's own]")
    parser.add_argument("--limit", type=int, help="images to score")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    truth = read_truth(arguments.annotations, arguments.limit)
    rows = []
    for path in arguments.models:
        predictor = Predictor.load(path, image_size_px=arguments.image_size)
        rows.append((path.name, score(predictor, truth, arguments.images, path.name)))
    print_rows(rows)


if __name__ == "__main__":
    main()
