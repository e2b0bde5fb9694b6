"""The full-precision teacher: trained from scratch, or loaded from ready weights."""

from __future__ import annotations

import torch

from crqat_pipeline.detection_data.training_loader import BatchPart, training_batches
from crqat_pipeline.detectors import build_detector
from crqat_pipeline.detectors.protocol import OpenVocabularyDetector
from crqat_pipeline.model_files.rebuilding import to_checkpoint
from crqat_pipeline.recipes.data import training_vocabulary
from crqat_pipeline.recipes.finished_stage import StageKeep, keep_finished, take_finished
from crqat_pipeline.recipes.on_workers import checkpoint_folder, train_on_workers
from crqat_pipeline.recipes.specs import NamedBuilderSpec, RunSpec, TeacherSpec
from crqat_pipeline.recipes.stage_data import StageResult, TrainingData
from crqat_pipeline.recipes.stage_facts import data_facts, machine_facts
from crqat_pipeline.recipes.stage_job import StageJob
from crqat_pipeline.runtime.device import choose_device
from crqat_pipeline.runtime.facts import Facts, spec_facts
from crqat_pipeline.runtime.ranks import num_ranks, rank
from crqat_pipeline.runtime.seeding import derive_seed
from crqat_pipeline.training.loop import train
from crqat_pipeline.training.task import SupervisedTask
from crqat_pipeline.training.tracker import Tracker


def make_teacher(
    row: NamedBuilderSpec,
    data: TrainingData,
    spec: TeacherSpec,
    run: RunSpec,
    keep: StageKeep | None = None,
    tracker: Tracker | None = None,
) -> StageResult:
    """Train the detector of `row` on the data, or load `spec.weights` into it.

    What `keep` holds of the same training is gone on with, or taken where it is finished.
    """
    detector = _with_first_weights(row, run)
    if detector.embedding_dim != data.text_bank.embeddings_KD.shape[1]:
        raise ValueError(
            f"Detector and text encoder must agree on the embedding size; {row.name} has {detector.embedding_dim}, "
            f"{data.text_bank.encoder} gives {data.text_bank.embeddings_KD.shape[1]}. Change detector or text_encoder."
        )
    if spec.weights is not None:
        detector.load_weights(spec.weights, data.text_bank)
        checkpoint = to_checkpoint(detector.state_dict(), row, None, (), stage="teacher", weights=spec.weights)
        return StageResult(checkpoint, {"seconds": 0.0}, [])
    facts = {
        "seed": str(run.seed),
        **spec_facts("detector", row),
        **spec_facts("teacher", spec),
        **data_facts(data),
    }
    finished = take_finished(keep, facts, "teacher")
    if finished is not None:
        return finished
    if not run.workers.is_shared:
        return keep_finished(keep, facts, train_detector(row, data, spec, run, facts, keep, tracker))
    with checkpoint_folder(keep) as checkpoints:
        specs = {"row": row, "spec": spec, "run": run}
        job = StageJob(kind="teacher", specs=specs, data={"data": data}, checkpoints=checkpoints, facts=facts)
        return keep_finished(keep, facts, train_on_workers(job, run, "teacher", tracker))


def _with_first_weights(row: NamedBuilderSpec, run: RunSpec) -> OpenVocabularyDetector:
    with torch.random.fork_rng():
        torch.manual_seed(derive_seed(run.seed, "teacher", "weights"))
        return build_detector(row.name, **row.options)


def train_detector(
    row: NamedBuilderSpec,
    data: TrainingData,
    spec: TeacherSpec,
    run: RunSpec,
    facts: Facts,
    keep: StageKeep | None = None,
    tracker: Tracker | None = None,
) -> StageResult:
    """The training from scratch in this process; every worker of several calls it, and that of the first counts."""
    detector = _with_first_weights(row, run)
    device = choose_device(run.device)
    detector.to(device).train()
    seed = derive_seed(run.seed, "teacher")
    prompts = training_vocabulary(data.split, data.vocabulary)
    optimization = spec.optimization.for_images(len(data.split.images), spec.loader.batch_size)
    result = train(
        SupervisedTask(detector),
        lambda first, count: training_batches(
            data.split,
            data.images,
            data.text_bank,
            prompts,
            spec.loader,
            seed,
            first,
            count,
            BatchPart(rank(), num_ranks()),
        ),
        optimization,
        label="teacher",
        resume_folder=keep.checkpoints if keep else None,
        facts={**facts, **machine_facts(device)},
        tracker=tracker,
        device=device,
    )
    checkpoint = to_checkpoint(
        result.tensors, row, None, (), stage="teacher", seed=run.seed, num_steps=optimization.num_steps
    )
    metrics = {"final_loss": result.history[-1]["loss"], "seconds": result.seconds}
    return StageResult(checkpoint, metrics, result.history)
