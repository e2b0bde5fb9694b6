"""One QAT stage: take a student, calibrate what is newly quantized, train, hand it on.

Plain QAT, the two curriculum stages and the full-precision control are this one function with other specs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

import torch
from torch import Tensor

from crqat_pipeline.curriculum.apply import train_only
from crqat_pipeline.curriculum.plan import Quantized
from crqat_pipeline.detection_data.evaluation_loader import evaluation_batches
from crqat_pipeline.detection_data.loader_spec import LoaderSpec
from crqat_pipeline.detection_data.training_loader import BatchPart, training_batches
from crqat_pipeline.detectors.protocol import OpenVocabularyDetector
from crqat_pipeline.model_files.rebuilding import RebuiltDetector, rebuild, to_checkpoint
from crqat_pipeline.quantization import (
    QuantSpec,
    calibrate,
    hold_zero_points,
    prepare,
    quantizer_parameters,
    set_quantized,
)
from crqat_pipeline.quantization.batch_norm import BatchNormPolicy, reestimate_batch_norm
from crqat_pipeline.quantization.calibration import initialize_weights
from crqat_pipeline.quantization.frozen_layers import folded_frozen_layers
from crqat_pipeline.quantization.transitions import CodeTransitions
from crqat_pipeline.recipes.data import training_vocabulary
from crqat_pipeline.recipes.finished_stage import StageKeep, keep_finished, take_finished
from crqat_pipeline.recipes.on_workers import checkpoint_folder, train_on_workers
from crqat_pipeline.recipes.scale_history import scale_details, scale_range, split_history
from crqat_pipeline.recipes.specs import PtqSpec, QatStageSpec, RunSpec
from crqat_pipeline.recipes.stage_data import StageResult, TrainingData
from crqat_pipeline.recipes.stage_facts import data_facts, machine_facts, weights_digest
from crqat_pipeline.recipes.stage_job import StageJob
from crqat_pipeline.runtime.device import choose_device
from crqat_pipeline.runtime.facts import Facts, spec_facts
from crqat_pipeline.runtime.ranks import is_first, num_ranks, rank, state_of_first
from crqat_pipeline.runtime.seeding import derive_seed
from crqat_pipeline.structures.batch import DetectionBatch
from crqat_pipeline.structures.checkpoint import Checkpoint
from crqat_pipeline.training.loop import train
from crqat_pipeline.training.task import DistillationTask
from crqat_pipeline.training.tracker import Tracker


def calibration_inputs(data: TrainingData, loader: LoaderSpec, device: torch.device) -> Iterator[tuple[Tensor, Tensor]]:
    """Letterboxed images and the embeddings of all prompts that the QAT data names."""
    columns = data.vocabulary.columns([category.id for category in data.split.categories])
    texts_KD = data.text_bank.embeddings_KD[columns].to(device)
    for batch in evaluation_batches(data.split, data.images, loader):
        yield batch.images_B3HW.to(device), texts_KD


def quantize_parts(
    rebuilt: RebuiltDetector,
    quantization: QuantSpec,
    parts: tuple[str, ...],
    calibration: TrainingData,
    loader: LoaderSpec,
    device: torch.device,
    quantizes: Quantized = "all",
) -> OpenVocabularyDetector:
    """Quantize these parts; those not yet quantized are calibrated on the detector as it is now.

    Weights that waited for their quantization take their steps from what they have become.
    On several workers the first one calibrates, and the others take what it found.
    """
    detector = rebuilt.detector
    if rebuilt.quantization is None:
        prepare(detector, quantization)
    detector.to(device).eval()
    new_parts = [part for part in parts if part not in rebuilt.quantized_parts]
    set_quantized(detector, rebuilt.quantized_parts, "activations" if rebuilt.weights_wait else "all")
    if rebuilt.weights_wait:
        initialize_weights(detector, rebuilt.quantized_parts)
    if new_parts:
        if is_first():
            calibrate(detector, calibration_inputs(calibration, loader, device), new_parts)
        if num_ranks() > 1:
            detector.load_state_dict(state_of_first(detector.state_dict()))
    set_quantized(detector, parts, quantizes)
    return detector


def post_training_quantization(
    teacher: Checkpoint, calibration: TrainingData, quantization: QuantSpec, run: RunSpec, spec: PtqSpec
) -> Checkpoint:
    """Calibration alone (PTQ): every part quantized, no weight trained."""
    rebuilt = rebuild(teacher)
    parts, loader = tuple(rebuilt.detector.parts), LoaderSpec(image_size_px=spec.image_size_px)
    detector = quantize_parts(rebuilt, quantization, parts, calibration, loader, choose_device(run.device))
    facts = {"seed": run.seed, "stage": "ptq", "calibration_images": len(calibration.split.images)}
    return to_checkpoint(detector.state_dict(), rebuilt.row, quantization, parts, **facts)


def run_stage(
    student: Checkpoint,
    teacher: Checkpoint,
    data: TrainingData,
    calibration: TrainingData,
    quantization: QuantSpec,
    spec: QatStageSpec,
    run: RunSpec,
    keep: StageKeep | None = None,
    tracker: Tracker | None = None,
) -> StageResult:
    """Train `spec.parts` on the stage's window of the data; later parts stay bit-identical and in full precision.

    What `keep` holds of the same training is gone on with, or taken where it is finished.
    """
    seen = replace(data, split=data.split.part(*spec.data_window))
    facts = {
        "seed": str(run.seed),
        **spec_facts("train", spec),
        **spec_facts("quantization", quantization),
        "student": weights_digest(student.tensors),
        "teacher": weights_digest(teacher.tensors),
        **data_facts(seen),
        **data_facts(calibration, "calibration."),
    }
    finished = take_finished(keep, facts, spec.name)
    if finished is not None:
        return finished
    if not run.workers.is_shared:
        result = train_stage(student, teacher, seen, calibration, quantization, spec, run, facts, keep, tracker)
        return keep_finished(keep, facts, result)
    with checkpoint_folder(keep) as checkpoints:
        job = StageJob(
            kind="qat",
            specs={"quantization": quantization, "spec": spec, "run": run},
            data={"data": seen, "calibration": calibration},
            checkpoints=checkpoints,
            facts=facts,
            models={"student": student, "teacher": teacher},
        )
        return keep_finished(keep, facts, train_on_workers(job, run, spec.name, tracker))


def train_stage(
    student: Checkpoint,
    teacher: Checkpoint,
    data: TrainingData,
    calibration: TrainingData,
    quantization: QuantSpec,
    spec: QatStageSpec,
    run: RunSpec,
    facts: Facts,
    keep: StageKeep | None = None,
    tracker: Tracker | None = None,
) -> StageResult:
    """The training of a stage in this process, on all of `data`; data_window is applied already.

    Each of several workers calls it, and what the first returns counts.
    """
    split = data.split
    device = choose_device(run.device)
    rebuilt, frozen_teacher = rebuild(student), rebuild(teacher).detector.to(device)
    detector = rebuilt.detector.to(device)
    if spec.is_quantized:
        detector = quantize_parts(rebuilt, quantization, spec.parts, calibration, spec.loader, device, spec.quantizes)
    batch_norm: BatchNormPolicy = "live" if spec.batch_norm in ("live", "re_estimated") else "frozen"
    train_only(detector, spec.parts, batch_norm=batch_norm, trains=spec.trains)
    optimization = spec.optimization.for_images(len(split.images), spec.loader.batch_size)
    seed = derive_seed(run.seed, spec.name)

    prompts = training_vocabulary(split, data.vocabulary, spec.prompt_split)

    def batches(first: int, count: int) -> Iterator[DetectionBatch]:
        part = BatchPart(rank(), num_ranks())
        return training_batches(split, data.images, data.text_bank, prompts, spec.loader, seed, first, count, part)

    sees_images_again = spec.loader.shows_same_pixels and (
        optimization.num_steps * optimization.accumulation_steps * spec.loader.batch_size > len(split.images)
    )
    remembered_bytes = run.teacher_memory_mb * 2**20 if sees_images_again else 0
    with folded_frozen_layers(detector):
        result = train(
            DistillationTask(
                detector, frozen_teacher, spec.distillation, spec.fusion_balance, remembered_bytes=remembered_bytes
            ),
            batches,
            optimization,
            label=spec.name,
            resume_folder=keep.checkpoints if keep else None,
            facts={**facts, **machine_facts(device)},
            quantizer_parameters=quantizer_parameters(detector) if spec.is_quantized else (),
            tracker=tracker,
            step_metrics=lambda: scale_range(detector),
            step_details=lambda: scale_details(detector),
            on_gradients=lambda: hold_zero_points(detector),
            companion=CodeTransitions(detector, spec.transitions, optimization.num_steps) if spec.transitions else None,
            device=device,
        )
    parts = spec.parts if spec.is_quantized else ()
    tensors: Mapping[str, Tensor] = result.tensors
    if spec.batch_norm in ("re_estimated", "frozen_re_estimated") and is_first():
        detector.load_state_dict(dict(tensors))
        reestimate_batch_norm(detector, calibration_inputs(calibration, spec.loader, device), spec.parts)
        tensors = detector.state_dict()
    checkpoint = to_checkpoint(
        tensors,
        rebuilt.row,
        quantization if spec.is_quantized else None,
        parts,
        stage=spec.name,
        seed=run.seed,
        num_steps=optimization.num_steps,
        **({"calibration_images": len(calibration.split.images)} if spec.is_quantized else {}),
        **({"weights_wait": True} if spec.is_quantized and spec.quantizes == "activations" else {}),
    )
    metrics = {"final_loss": result.history[-1]["loss"], "seconds": result.seconds}
    history, scales = split_history(result.history)
    return StageResult(checkpoint, metrics, history, scales)
