"""All findings of a dry run, in the order in which they are shown."""

from __future__ import annotations

import math
from dataclasses import dataclass
from time import perf_counter

import torch

from crqat_pipeline.detectors.protocol import OpenVocabularyDetector
from crqat_pipeline.dry_run.downloads import look_at_downloads
from crqat_pipeline.dry_run.findings import DryRunReport, count
from crqat_pipeline.dry_run.ingredients import build_teacher, look_at_encoders
from crqat_pipeline.dry_run.inputs import QatImages, count_data, look_at_inputs
from crqat_pipeline.dry_run.lengths import (
    StageLength,
    given_seconds_per_image,
    length_of,
    macs_g,
    paper_seconds_per_image,
    total_hours,
)
from crqat_pipeline.dry_run.readers import run_readers
from crqat_pipeline.dry_run.subject import DryRunSubject
from crqat_pipeline.dry_run.time_budget import TimeBudget
from crqat_pipeline.dry_run.trial import Trial, build_task, supervised_task, try_stage
from crqat_pipeline.recipes.specs import NamedBuilderSpec, QatStageSpec, TeacherSpec
from crqat_pipeline.runtime.device import choose_device
from crqat_pipeline.runtime.progress import progress

GB = 2.0**30


@dataclass(frozen=True)
class _Planned:
    """A training stage: its spec (the teacher's own training among them), its length, its trial step."""

    spec: QatStageSpec | TeacherSpec
    length: StageLength
    trial: Trial | None
    error: str = ""

    @property
    def seconds_per_image(self) -> float:
        """As timed on images of the real size; NaN where none was."""
        return math.nan if self.trial is None else self.trial.seconds_per_image


def examine(subject: DryRunSubject, timing_s: float = 0.0) -> DryRunReport:
    """Look at files, data, encoders and detector; build every training stage and take one made-up step of it.

    timing_s: seconds that may go into timing stages whose steps are long; 0: the paper's speed is told for them.
    """
    report = DryRunReport(subject.title)
    look_at_downloads(subject, report)
    look_at_inputs(subject, report)
    qat = count_data(subject, report)
    look_at_encoders(subject, report)
    run_readers(subject, report)
    detector = build_teacher(subject, report)
    if detector is None or subject.detector is None:
        return report
    device = _device(subject, report)
    budget, planned = TimeBudget(timing_s), dict[str, _Planned]()
    stages = _training_stages(subject)
    for name, spec in progress(stages.items(), "a step of every stage", len(stages), unit="stage"):
        planned[name] = _plan(spec, subject, qat, detector, device, budget)
    report.missing += [f"{name}: cannot be built: {one.error}" for name, one in planned.items() if one.error]
    _show_lengths(planned, subject, subject.detector, device, report)
    _show_memory(planned, device, report)
    return report


def _device(subject: DryRunSubject, report: DryRunReport) -> torch.device:
    try:
        device = choose_device(subject.run.device)
    except ValueError as error:
        report.missing.append(f"run.device: {error}")
        device = torch.device("cpu")
    if device.type == "cuda":
        facts = torch.cuda.get_device_properties(device)
        report.notes.append(f"Trains on {facts.name}, {facts.total_memory / GB:.0f} GB.")
    else:
        report.notes.append("Trains on the CPU: there is no GPU, or run.device asks for none.")
    return device


def _training_stages(subject: DryRunSubject) -> dict[str, QatStageSpec | TeacherSpec]:
    stages: dict[str, QatStageSpec | TeacherSpec] = {}
    if subject.teacher is not None and subject.teacher.weights is None:
        stages["teacher"] = subject.teacher
    return stages | dict(subject.stages)


def _plan(
    spec: QatStageSpec | TeacherSpec,
    subject: DryRunSubject,
    qat: QatImages | None,
    teacher: OpenVocabularyDetector,
    device: torch.device,
    budget: TimeBudget,
) -> _Planned:
    assert subject.detector is not None
    started = perf_counter()
    is_teacher = isinstance(spec, TeacherSpec)
    window = (0.0, 1.0) if isinstance(spec, TeacherSpec) else spec.data_window
    length = length_of(spec.optimization, spec.loader.batch_size, None if is_teacher else qat, window)
    passes_g = macs_g(subject.detector, spec.loader.image_size_px, spec.loader.num_prompts)
    batches = spec.optimization.accumulation_steps
    num_timed = budget.images(device, passes_g, spec.loader.batch_size, batches)
    try:
        if isinstance(spec, TeacherSpec):
            task = supervised_task(teacher.to(device))
        else:
            assert subject.quantization is not None
            task = build_task(teacher.to(device), spec, subject.quantization, device)
        trial = try_stage(task, spec.loader, spec.optimization, device, num_timed)
    except (ValueError, RuntimeError) as error:  # RuntimeError: torch's own, such as no memory left
        return _Planned(spec, length, None, str(error).splitlines()[0])
    if num_timed:
        budget.spent(perf_counter() - started)
    return _Planned(spec, length, trial)


def _show_lengths(
    planned: dict[str, _Planned],
    subject: DryRunSubject,
    row: NamedBuilderSpec,
    device: torch.device,
    report: DryRunReport,
) -> None:
    timed = next((one for one in planned.values() if math.isfinite(one.seconds_per_image)), None)
    hours: dict[str, float | None] = {}
    bases: set[str] = set()
    rows = []
    for name, one in planned.items():
        per_image, basis = _seconds_per_image(one, timed, subject, row)
        seen = one.length.images_seen
        hours[name] = seen * per_image / 3600 if seen and per_image else None
        bases.add(basis)
        parts = "all" if isinstance(one.spec, TeacherSpec) else " ".join(one.spec.parts)
        optimization = one.spec.optimization
        rows.append(
            (
                name,
                parts,
                count(one.length.images, one.length.is_estimate),
                f"{one.spec.loader.batch_size} x {optimization.accumulation_steps}",
                count(one.length.steps, one.length.is_estimate and optimization.num_epochs is not None),
                f"{optimization.learning_rate:g}",
                _text(hours[name]),
                basis,
            )
        )
    unit = "GPU-hours" if device.type == "cuda" or "paper" in bases or "given" in bases else "CPU-hours"
    if rows:
        rows.append(("together", "", "", "", "", "", _text(total_hours(hours)), ""))
    columns = ("stage", "parts", "images", "batch", "steps", "rate", unit, "speed")
    report.add("Training stages", columns, rows)
    meanings = {
        "paper": "paper: 95.2 GPU-hours of plain QAT (112.4 with distillation) for YOLO-World-L over 2.36 million "
        "images, on the paper's GPUs, scaled by the multiply-accumulates of this detector. Another speed: "
        "--images-per-second",
        "given": f"given: {subject.images_per_second} images per second of plain QAT on one GPU, "
        "1.18 times the time with distillation",
        "measured": "measured: a step on made-up images of the real size on this machine, on part of a batch where "
        "a whole one takes long; without reading images",
        "compared": "compared: the measured stage's time, by how long a small step of both takes",
    }
    report.notes += [meanings[basis] for basis in sorted(bases & meanings.keys())]
    if any(one.length.steps is None for one in planned.values()):
        report.notes.append("Steps are unknown where the number of images is: make or give the data first")


def _seconds_per_image(
    one: _Planned, timed: _Planned | None, subject: DryRunSubject, row: NamedBuilderSpec
) -> tuple[float | None, str]:
    """And what it is known from. timed: a stage of which a step of the real size was timed."""
    if subject.images_per_second and isinstance(one.spec, QatStageSpec):
        return given_seconds_per_image(subject.images_per_second, one.spec), "given"
    if math.isfinite(one.seconds_per_image):
        return one.seconds_per_image, "measured"
    if one.trial is not None and timed is not None and timed.trial is not None and _has_same_size(one, timed):
        return timed.seconds_per_image * one.trial.small_seconds / timed.trial.small_seconds, "compared"
    if isinstance(one.spec, QatStageSpec):
        return paper_seconds_per_image(row, one.spec), "paper"
    return None, "-"


def _has_same_size(one: _Planned, other: _Planned) -> bool:
    return one.spec.loader.image_size_px == other.spec.loader.image_size_px


def _text(hours: float | None) -> str:
    return "-" if hours is None else f"{hours:,.1f}" if hours >= 1 else f"{hours:.3f}"


def _show_memory(planned: dict[str, _Planned], device: torch.device, report: DryRunReport) -> None:
    rows = []
    for name, one in planned.items():
        if one.trial is None:
            continue
        trial = one.trial
        total = trial.weight_bytes + trial.training_bytes + trial.activation_bytes
        sizes = [
            f"{each / GB:.2f}" for each in (trial.weight_bytes, trial.training_bytes, trial.activation_bytes, total)
        ]
        losses = ", ".join(loss for loss in trial.losses if not loss.startswith("quantizer"))
        rows.append((name, *sizes, losses))
        if device.type == "cuda" and total > torch.cuda.get_device_properties(device).total_memory:
            report.missing.append(
                f"{name}: needs about {total / GB:.0f} GB of GPU memory; lower the loader's batch_size"
            )
    columns = ("stage", "weights", "gradients, AdamW", "activations", "GB together", "one made-up step gave")
    report.add("Memory in GB (what one batch keeps for the backward pass; the allocator takes more)", columns, rows)
