"""Allocated widths beside uniform ones at the same size and bit operations: calibration alone, several teachers.

`python benchmarks/allocation_accuracy.py data/06_models/study/teachers/seed*.safetensors` after a run of the embedded
benchmark (its prepared data are read) and of the study (its teachers). Prints one line per teacher, then means.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections import defaultdict
from pathlib import Path

from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project

from crqat_pipeline.allocation import AllocationSpec, Budget
from crqat_pipeline.model_files import read_checkpoint, rebuild
from crqat_pipeline.quantization import QuantSpec, cost
from crqat_pipeline.recipes.allocating import allocate_widths
from crqat_pipeline.recipes.detecting import detect_split
from crqat_pipeline.recipes.evaluation_run import evaluate_tables, truth_of
from crqat_pipeline.recipes.qat import post_training_quantization
from crqat_pipeline.recipes.specs import EvaluationSpec, PtqSpec, RunSpec

PROJECT = Path(__file__).parents[1]
MENUS = {"paper": "4-4-8", "npu": "4-8-8"}
"""Menu -> bits of what its rules do not name; the budget is always that of uniform 4-4-8."""
FIGURES = ("AP", "AP_unseen", "AP_novel")


def accuracy(checkpoint, data, spec, run) -> dict[str, float]:
    """COCO figures in percent."""
    with tempfile.TemporaryDirectory() as folder:
        table = detect_split(rebuild(checkpoint).detector, data, spec, run.device, "detections", Path(folder))
    result = evaluate_tables({"coco/one": table}, {"coco": truth_of(data)}, spec)
    return {name: 100 * result["one"]["coco"].metrics[name] for name in FIGURES}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("teachers", nargs="+", type=Path)
    paths = parser.parse_args().teachers
    bootstrap_project(PROJECT)
    with KedroSession.create(project_path=PROJECT) as session:
        context = session.load_context()
        catalog, params = context.catalog, context.params
        calibration, data = catalog.load("calibration_data"), catalog.load("val_benchmark")
    uniform = QuantSpec.model_validate(params["quantization"])
    evaluation = EvaluationSpec.model_validate(params["evaluation"])
    asked = AllocationSpec.model_validate(params["bit_allocation"])
    size_px = evaluation.image_size_px
    rows: dict[str, list[dict[str, float]]] = defaultdict(list)
    for number, path in enumerate(paths):
        teacher, run = read_checkpoint(path), RunSpec(seed=number, device="cpu")
        limit = cost(rebuild(teacher).detector, uniform, asked.image_size_px, asked.num_prompts)
        budget = Budget(size_mb=limit.size_mb, bops_g=limit.bops_t * 1e3)
        students = {"teacher": teacher}
        specs = {"uniform 4-4-8": uniform}
        for menu, bits in MENUS.items():
            base = uniform.model_copy(update=dict(QuantSpec.parse(bits).model_dump(include=WIDTHS)))
            spec = asked.model_copy(update={"menu": menu, "budget": budget})
            found = allocate_widths(teacher, calibration, base, spec, run)
            assert found.metrics["size_mb"] <= limit.size_mb, menu
            assert found.metrics["bops_g"] <= limit.bops_t * 1e3 * (1 + 1e-9), menu
            specs[f"allocated, {menu}"] = QuantSpec.model_validate(base.model_dump() | {"widths": found.widths})
        for label, spec in specs.items():
            students[label] = post_training_quantization(
                teacher, calibration, spec, run, PtqSpec(image_size_px=size_px)
            )
        for label, student in students.items():
            rows[label].append(accuracy(student, data, evaluation, run))
        told = ", ".join(f"{label} {found[-1]['AP']:.1f}" for label, found in rows.items())
        print(f"{path.name}: {told}", flush=True)
    print("\n| widths | " + " | ".join(FIGURES) + " |\n| --- " * 1 + "| --- " * len(FIGURES) + "|")
    for label, found in rows.items():
        cells = []
        for name in FIGURES:
            values = [row[name] for row in found]
            spread = statistics.stdev(values) if len(values) > 1 else 0.0
            cells.append(f"{statistics.mean(values):.1f} ± {spread:.1f}")
        print(f"| {label} | " + " | ".join(cells) + " |")


WIDTHS = {"weight_bits", "activation_bits", "attention_bits"}

if __name__ == "__main__":
    main()
