"""Time and peak memory of evaluating a set of LVIS minival's size, against the plain reference library.

    python benchmarks/evaluation_speed.py            # 4,809 images x 1000 detections, 1203 categories: minutes
    python benchmarks/evaluation_speed.py --images 200 --detections 200

Each line is a fresh process that reads the two files and prints AP. Peak memory is that of the process plus, for each
worker, the largest worker (an upper bound). All lines must print the same AP.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

NUM_CATEGORIES = 1203
NUM_ANNOTATED = 17
"""Categories that an LVIS image has or is known not to have, on average."""

PLAN = {
    "plain lvis library": ("plain", 1),
    "crqat reference, 1 core": ("reference", 1),
    "crqat reference, 2 cores": ("reference", 2),
    "crqat fast, 1 core": ("fast", 1),
    "crqat fast, 2 cores": ("fast", 2),
}


def write_files(folder: Path, num_images: int, num_detections: int, seed: int = 0) -> None:
    """Random objects; a third of the detections fall on annotated categories of their image, half of those near
    an object, so that much more than in a real results file has to be matched."""
    from crqat_pipeline.evaluation.detection_table import DetectionTable
    from crqat_pipeline.evaluation.results_file import write_results

    rng = np.random.default_rng(seed)
    weight = 1.0 / np.arange(1, NUM_CATEGORIES + 1)
    weight /= weight.sum()
    images, objects, tables = [], [], []
    for image_id in range(1, num_images + 1):
        annotated = rng.choice(NUM_CATEGORIES, NUM_ANNOTATED, replace=False, p=weight) + 1
        present = annotated[:11]
        kinds = rng.choice(present, 11)
        sides = rng.uniform(8, 200, (11, 2))
        boxes = np.round(np.concatenate([rng.uniform(0, 400, (11, 2)), sides], 1), 2)
        images.append(
            {
                "id": image_id,
                "neg_category_ids": sorted(set(annotated.tolist()) - set(kinds.tolist())),
                "not_exhaustive_category_ids": rng.choice(annotated, 1).tolist(),
            }
        )
        objects += [
            {"id": len(objects) + i + 1, "image_id": image_id, "category_id": int(kinds[i]),
             "bbox": boxes[i].tolist(), "area": float(boxes[i, 2:].prod() * 0.7)}
            for i in range(11)
        ]  # fmt: skip
        labels = rng.integers(1, NUM_CATEGORIES + 1, num_detections)
        third = num_detections // 3
        labels[:third] = rng.choice(annotated, third)
        found = np.concatenate([rng.uniform(0, 400, (num_detections, 2)), rng.uniform(8, 200, (num_detections, 2))], 1)
        near = rng.integers(0, 11, third // 2)
        labels[: third // 2] = kinds[near]
        found[: third // 2] = boxes[near] * rng.uniform(0.9, 1.1, (third // 2, 4))
        tables.append(
            DetectionTable(
                np.full(num_detections, image_id), labels, found.round(2), rng.random(num_detections).round(5)
            )
        )
    categories = [{"id": i + 1, "name": f"kind {i}", "frequency": "rcf"[i % 3]} for i in range(NUM_CATEGORIES)]
    truth = {"images": images, "annotations": objects, "categories": categories}
    (folder / "truth.json").write_text(json.dumps(truth))
    write_results(folder / "found.json", DetectionTable.concatenate(tables))


def plain(folder: Path, protocol: str) -> float:
    """The lvis library as its readme uses it; for lvis-fixed the 10,000 best per category are picked before."""
    from crqat_pipeline.evaluation.backend_reference import lvis_on_this_numpy

    module = lvis_on_this_numpy()
    truth = module.LVIS(str(folder / "truth.json"))
    records = json.loads((folder / "found.json").read_text())
    if protocol == "lvis-fixed":
        by_category: dict[int, list[dict[str, object]]] = {}
        for record in records:
            by_category.setdefault(record["category_id"], []).append(record)
        best = (sorted(one, key=lambda r: r["score"], reverse=True)[:10_000] for one in by_category.values())
        records = [record for one in best for record in one]
    results = module.LVISResults(truth, records, 300 if protocol == "lvis" else -1)
    evaluation = module.LVISEval(truth, results, "bbox")
    evaluation.run()
    return float(evaluation.results["AP"])


def ours(folder: Path, protocol: str, backend: str, processes: int) -> float:
    from crqat_pipeline.evaluation import evaluate
    from crqat_pipeline.evaluation.results_file import read_ground_truth, read_results

    truth, table = read_ground_truth(folder / "truth.json"), read_results(folder / "found.json")
    return evaluate(truth, table, protocol, backend, processes=processes).metrics["AP"]


def measure(folder: Path, protocol: str, backend: str, processes: int) -> None:
    """Run one line in this process and print it as JSON."""
    started = time.perf_counter()
    ap = plain(folder, protocol) if backend == "plain" else ours(folder, protocol, backend, processes)
    seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    if processes > 1:
        peak += processes * resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    print(json.dumps({"seconds": seconds, "peak_gb": peak / 2**20, "ap": ap}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=4809)
    parser.add_argument("--detections", type=int, default=1000, help="per image")
    parser.add_argument("--protocol", choices=["lvis", "lvis-fixed"], default="lvis-fixed")
    parser.add_argument("--only", nargs="+", choices=list(PLAN), default=list(PLAN), help="lines to run")
    parser.add_argument("--measure", nargs=3, metavar=("FOLDER", "BACKEND", "PROCESSES"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        folder, backend, processes = options.measure
        measure(Path(folder), options.protocol, backend, int(processes))
        return
    with tempfile.TemporaryDirectory() as folder:
        write_files(Path(folder), options.images, options.detections)
        size_mb = (Path(folder) / "found.json").stat().st_size / 2**20
        print(f"{options.images} images x {options.detections} detections ({size_mb:.0f} MB), {options.protocol}")
        for name in options.only:
            backend, processes = PLAN[name]
            command = [sys.executable, __file__, "--protocol", options.protocol, "--measure"]
            done = subprocess.run([*command, folder, backend, str(processes)], capture_output=True, text=True)
            if done.returncode:
                print(f"{name:<28} failed: {done.stderr.strip().splitlines()[-1] if done.stderr else done.returncode}")
                continue
            line = json.loads(done.stdout.splitlines()[-1])
            print(f"{name:<28}{line['seconds']:8.1f} s{line['peak_gb']:8.2f} GB   AP {100 * line['ap']!r}", flush=True)


if __name__ == "__main__":
    main()
