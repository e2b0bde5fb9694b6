"""What runs of crqat_full left in their data folders, one row per folder: the table of docs/families.md.

    python benchmarks/family_tables.py data/smoke data/dosod_smoke data/omdet_smoke data/detectron2_smoke

The graph of each is run once more, with prompts of another number and other images than it was proved with, and
compared with the packed file code by code.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional

from crqat_pipeline.export.parity import check_batches
from crqat_pipeline.export.parity_report import ParityReport
from crqat_pipeline.recipes.file_export import drawn_images, image_batches, open_for_export

NUM_IMAGES, NUM_PROMPTS = 4, 5
FORMS = ("teacher", "qat", "crqat", "int4", "onnx")


def other_prompts(folder: Path) -> ParityReport:
    """The exported graph against the packed student, with random unit texts."""
    student = open_for_export(folder / "07_model_output" / "crqat.int4.safetensors")
    detector, side_px = student.detector, student.image_size_px
    texts_KD = torch.randn(NUM_PROMPTS, detector.embedding_dim, generator=torch.Generator().manual_seed(1))
    images = image_batches(drawn_images(side_px, NUM_IMAGES), side_px, NUM_IMAGES)
    graph = folder / "07_model_output" / "crqat.onnx"
    return check_batches(graph, detector, images, functional.normalize(texts_KD, dim=1))


def row(folder: Path) -> str:
    """Cells of one folder: AP of FORMS in percent, the packed file's proof, the graph's proof, and `other_prompts`."""
    report = folder / "08_reporting"
    scores: dict[str, Any] = json.loads((report / "evaluation" / "metrics.json").read_text(encoding="utf-8"))
    export: dict[str, Any] = json.loads((report / "int4_export" / "metrics.json").read_text(encoding="utf-8"))
    found = other_prompts(folder)
    cells = [
        folder.name,
        *(f"{100 * scores[form]['coco']['AP']:.4f}" for form in FORMS),
        f"{export['largest_difference']:g}",
        f"{export['onnx_codes']:,}, {export['onnx_ties']}",
        f"{found.num_codes:,}, {found.num_mismatches}, {found.num_unexplained}",
        f"{found.largest_score_difference:.1g}",
        f"{found.largest_box_difference_px:.1g}",
    ]
    return f"| {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path)
    heads = [
        "run",
        *(f"AP {form}" for form in FORMS),
        "packed file − student",
        "ONNX: codes, ties",
        f"{NUM_PROMPTS} other prompts: codes, different, no ties",
        "scores within",
        "boxes within, px",
    ]
    print(f"| {' | '.join(heads)} |\n| {' | '.join(['---'] * len(heads))} |")
    for folder in parser.parse_args().folders:
        print(row(folder), flush=True)


if __name__ == "__main__":
    main()
