"""What the curriculum and its distillation cost: CR-QAT's time over plain QAT's at equal steps, and TRKD's share of it.

    python benchmarks/curriculum_cost.py                                   # the benchmark's detector, 128 px, batch 16
    python benchmarks/curriculum_cost.py --detector yolo_world_s --image-size 320 --batch 4 --prompts 80
    python benchmarks/curriculum_cost.py --steps 40 --json out.json
    python benchmarks/curriculum_cost.py --detector yolo_world_s --image-size 640 --device cuda --autocast

A row is a step of the training loop on one batch (losses, backward, clipping, AdamW; no loading, no logging) with the
parts and terms of the curriculum's plans: QAT of one stage; both stages of CR-QAT; stage 1 once more with the
BatchNorms of its frozen parts run as layers; both stages with the teacher's backbone answering from memory (images that
come again), and with the teacher in bfloat16; stage 2 once more without TRKD but with the same forward pass of the
whole teacher; and what TRKD adds by itself (the teacher's assignment, loss and gradient). Rows take turns, one step of
each per round, so that other work on the machine falls on all of them. Weights, images, boxes and prompts are random.
cpu: median processor time of a step, which other processes hardly touch; wall: its median; ratio: median over the
rounds of the row's time over QAT's in the same round (processor time on a CPU, wall time on CUDA).
"""

from __future__ import annotations

import argparse
import copy
import json
import statistics
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from functools import partial
from time import perf_counter, process_time
from typing import Any

import torch
from torch import Tensor, nn

from crqat_pipeline.curriculum.apply import train_only
from crqat_pipeline.curriculum.plan import PLANS, StageWindow, windows
from crqat_pipeline.detectors import build_detector
from crqat_pipeline.detectors.protocol import OpenVocabularyDetector
from crqat_pipeline.distillation.objective import DistillationSpec
from crqat_pipeline.distillation.trkd import TrkdSpec, trkd_loss
from crqat_pipeline.quantization import QuantSpec, calibrate, prepare, quantizer_parameters, set_quantized
from crqat_pipeline.quantization.frozen_layers import folded_frozen_layers
from crqat_pipeline.structures.batch import DetectionBatch, ImageTargets
from crqat_pipeline.training.optimizer import build_optimizer
from crqat_pipeline.training.spec import OptimizationSpec
from crqat_pipeline.training.task import DistillationTask

Step = Callable[[], None]
OPTIMIZATION = OptimizationSpec(num_steps=1, learning_rate=1e-5, max_gradient_norm=10.0)
TRKD = TrkdSpec(weight=6.0)
PAPER_TERMS = DistillationSpec(pkd={"weight": 6.0}, trkd=TRKD)
QAT, STAGE_1, STAGE_2, NO_TRKD, TRKD_ALONE = "QAT", "stage 1", "stage 2", "stage 2 without TRKD", "TRKD alone"
UNFOLDED, KNOWN_1, KNOWN_2 = "stage 1, frozen BatchNorms as layers", "stage 1, images seen", "stage 2, images seen"
HALF_TERMS = PAPER_TERMS.model_copy(update={"teacher_precision": "bfloat16"})
HALF_1, HALF_2 = "stage 1, teacher in bfloat16", "stage 2, teacher in bfloat16"
MEMORY_BYTES = 2**30
ALL_NEW = "every image for the first time"
TOTALS = {
    "as before: nothing folded, nothing remembered": (UNFOLDED, STAGE_2),
    ALL_NEW: (STAGE_1, STAGE_2),
    "every image for the first time, the teacher in bfloat16": (HALF_1, HALF_2),
    "every image seen before": (KNOWN_1, KNOWN_2),
}
"""What the curriculum's total is made of, for each of four ways to train."""
WARM_UP_ROUNDS = 2


class WholeTeacher(nn.Module):
    """Runs all of a teacher where its backbone would do."""

    def __init__(self, teacher: OpenVocabularyDetector, text_embeddings: Tensor) -> None:
        super().__init__()
        self.teacher, self.text_embeddings = teacher, text_embeddings

    def backbone_features(self, images_B3HW: Tensor) -> dict[str, Tensor]:
        output = self.teacher(images_B3HW, self.text_embeddings, return_features=True)
        return {name: output.features[name] for name in self.teacher.backbone_feature_names}


def random_batch(detector: OpenVocabularyDetector, options: argparse.Namespace) -> DetectionBatch:
    """Boxes of 0.15 to 0.5 of the side; every image has prompts of its own, as in training."""
    side, count, objects = float(options.image_size), options.batch, options.objects
    targets = []
    for _ in range(count):
        size_M2 = side * (0.15 + 0.35 * torch.rand(objects, 2))
        corner_M2 = (side - size_M2) * torch.rand(objects, 2)
        boxes_M4 = torch.cat([corner_M2, corner_M2 + size_M2], dim=1)
        targets.append(ImageTargets(boxes_M4, torch.randint(options.prompts, (objects,))))
    texts_BKD = nn.functional.normalize(torch.randn(count, options.prompts, detector.embedding_dim), dim=-1)
    images_B3HW = torch.rand(count, 3, options.image_size, options.image_size)
    return DetectionBatch(images_B3HW, tuple(targets), texts_BKD, tuple(range(count))).to(options.device)


def training_step(
    teacher: OpenVocabularyDetector,
    batch: DetectionBatch,
    window: StageWindow,
    terms: DistillationSpec,
    options: argparse.Namespace,
    runs_whole_teacher: bool = False,
    remembered_bytes: int = 0,
    folded: ExitStack | None = None,
) -> Step:
    """One step of the loop for a stage whose student starts from the teacher's weights."""
    student = copy.deepcopy(teacher)
    prepare(student, QuantSpec.parse("4-4-8", activation_initialization="minmax"))
    calibrate(student, [(batch.images_B3HW, batch.text_embeddings)], window.parts)
    set_quantized(student, window.parts)
    train_only(student, window.parts)
    optimizer = build_optimizer(student, OPTIMIZATION, quantizer_parameters(student))
    trained = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    task = DistillationTask(student, teacher, terms.only(window.stage.terms), remembered_bytes=remembered_bytes)
    if folded is not None:
        folded.enter_context(folded_frozen_layers(student))
    if runs_whole_teacher:
        task.teacher = WholeTeacher(task.teacher, batch.text_embeddings)  # type: ignore[assignment]

    def step() -> None:
        with torch.autocast(options.device, torch.bfloat16, enabled=options.autocast):
            losses = task.losses(batch)
        torch.stack([loss.float() for loss in losses.values()]).sum().backward()
        nn.utils.clip_grad_norm_(trained, 10.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return step


def trkd_alone(teacher: OpenVocabularyDetector, batch: DetectionBatch) -> tuple[Step, int]:
    """What TRKD adds when teacher and student have run, and the number of positives that it compares."""
    with torch.no_grad():
        output = teacher(batch.images_B3HW, batch.text_embeddings)
    student_BND = output.region_embeddings_BND + 0.1 * torch.randn_like(output.region_embeddings_BND)
    student_BND.requires_grad_()

    def step() -> None:
        positives = teacher.assign(output, batch.targets)
        texts = output.text_embeddings
        trkd_loss(student_BND, output.region_embeddings_BND, texts, positives, TRKD).backward()
        student_BND.grad = None

    return step, len(teacher.assign(output, batch.targets).region_P)


def measure(steps: Mapping[str, Step], options: argparse.Namespace) -> dict[str, dict[str, list[float]]]:
    """row -> clock (cpu, wall) -> seconds, round by round."""
    times: dict[str, dict[str, list[float]]] = {row: {"cpu": [], "wall": []} for row in steps}
    for turn in range(-WARM_UP_ROUNDS, options.steps):
        for row, step in steps.items():
            cpu, wall = process_time(), perf_counter()
            step()
            if options.device == "cuda":
                torch.cuda.synchronize()
            if turn >= 0:
                times[row]["cpu"].append(process_time() - cpu)
                times[row]["wall"].append(perf_counter() - wall)
    return times


def summary(times: Mapping[str, Mapping[str, list[float]]], clock: str) -> dict[str, Any]:
    """Medians; the total at equal steps is (1/3 · stage 1 + 2/3 · stage 2) / QAT, the shares being the plan's."""
    rounds = list(zip(*(times[row][clock] for row in times), strict=True))
    by_round = [dict(zip(times, seconds, strict=True)) for seconds in rounds]
    shares = [stage.share for stage in PLANS["two_stage"].stages]
    totals = {
        kind: statistics.median(
            (shares[0] * seconds[first] + shares[1] * seconds[second]) / seconds[QAT] for seconds in by_round
        )
        for kind, (first, second) in TOTALS.items()
    }
    return {
        "rows": {
            row: {
                "cpu_ms": 1000 * statistics.median(one["cpu"]),
                "wall_ms": 1000 * statistics.median(one["wall"]),
                "ratio": statistics.median(seconds[row] / seconds[QAT] for seconds in by_round),
            }
            for row, one in times.items()
        },
        "total_ratio": totals[ALL_NEW],
        "total_ratios": totals,
        "trkd_share": statistics.median(seconds[TRKD_ALONE] / seconds[STAGE_2] for seconds in by_round),
        "trkd_share_by_difference": statistics.median(1 - seconds[NO_TRKD] / seconds[STAGE_2] for seconds in by_round),
    }


def show(result: Mapping[str, Any], options: argparse.Namespace, num_positives: int) -> None:
    """A Markdown table and the two figures with a bar."""
    precision = "bfloat16" if options.autocast else "float32"
    print(
        f"{options.detector}, {options.image_size} px, batch {options.batch}, {options.prompts} prompts, {precision}, "
        f"{options.device}, {torch.get_num_threads()} threads, {num_positives} positives, {options.steps} rounds\n"
    )
    print("| step | processor ms | wall ms | ratio |\n| --- | --- | --- | --- |")
    for row, one in result["rows"].items():
        print(f"| {row} | {one['cpu_ms']:.1f} | {one['wall_ms']:.1f} | {one['ratio']:.3f} |")
    print("\nCR-QAT over QAT at equal steps (at most 1.18, aim 1.10):")
    for kind, ratio in result["total_ratios"].items():
        print(f"- {kind}: {ratio:.3f}")
    alone, by_difference = (100 * result[name] for name in ("trkd_share", "trkd_share_by_difference"))
    print(f"TRKD, share of a step of stage 2: {alone:.1f} % alone, {by_difference:.1f} % by difference (at most 5 %)")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--detector", default="yolo_world_open_shapes")
    parser.add_argument("--version", type=int, default=2)
    parser.add_argument("--image-size", type=int, default=128, help="pixels")
    parser.add_argument("--batch", type=int, default=16, help="images")
    parser.add_argument("--prompts", type=int, default=40, help="per image")
    parser.add_argument("--objects", type=int, default=5, help="per image")
    parser.add_argument("--steps", type=int, default=20, help="timed rounds")
    parser.add_argument("--threads", type=int, default=0, help="CPU threads; 0: PyTorch's choice")
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--autocast", action="store_true", help="bfloat16 autocast")
    parser.add_argument("--json", help="also write the figures to this file")
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    teacher = build_detector(options.detector, version=options.version).to(options.device).eval().requires_grad_(False)
    batch = random_batch(teacher, options)
    (qat,) = windows(PLANS["single_stage"], tuple(teacher.parts))
    first, second = windows(PLANS["two_stage"], tuple(teacher.parts))
    alone, num_positives = trkd_alone(teacher, batch)
    made = partial(training_step, teacher, batch, options=options)
    with ExitStack() as folded:
        steps = {
            QAT: made(qat, DistillationSpec()),
            UNFOLDED: made(first, PAPER_TERMS),
            STAGE_1: made(first, PAPER_TERMS, folded=folded),
            KNOWN_1: made(first, PAPER_TERMS, folded=folded, remembered_bytes=MEMORY_BYTES),
            HALF_1: made(first, HALF_TERMS, folded=folded),
            STAGE_2: made(second, PAPER_TERMS),
            HALF_2: made(second, HALF_TERMS),
            KNOWN_2: made(second, PAPER_TERMS, remembered_bytes=MEMORY_BYTES),
            NO_TRKD: made(second, PAPER_TERMS.only(["pkd"]), runs_whole_teacher=True),
            TRKD_ALONE: alone,
        }
        times = measure(steps, options)
    result = summary(times, "cpu" if options.device == "cpu" else "wall")
    show(result, options, num_positives)
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump({"options": vars(options), "num_positives": num_positives, **result}, file, indent=2)


if __name__ == "__main__":
    main()
