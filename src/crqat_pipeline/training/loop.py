"""The one training loop: it steps, logs, checkpoints; it knows neither boxes nor bits."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from types import MappingProxyType

import torch
from torch import Tensor, nn

from crqat_pipeline.runtime.facts import Facts
from crqat_pipeline.runtime.joint_outcome import all_or_none
from crqat_pipeline.runtime.progress import progress
from crqat_pipeline.runtime.ranks import is_first, num_ranks
from crqat_pipeline.structures.batch import DetectionBatch
from crqat_pipeline.structures.history import LEARNING_RATE, STEP
from crqat_pipeline.training.companion import Companion
from crqat_pipeline.training.ema import WeightAverage
from crqat_pipeline.training.non_finite import refuse_non_finite
from crqat_pipeline.training.optimizer import build_optimizer, learning_rate, set_learning_rate
from crqat_pipeline.training.resume import WORKERS, TrainingState, load_latest, save_state
from crqat_pipeline.training.shared_model import SharedModel, whole_losses
from crqat_pipeline.training.spec import OptimizationSpec
from crqat_pipeline.training.synchronized_batch_norm import synchronized_batch_norm
from crqat_pipeline.training.task import TrainingTask
from crqat_pipeline.training.tracker import NullTracker, Tracker

Batches = Callable[[int, int], Iterator[DetectionBatch]]
"""(first batch, number of batches) -> the batches, each a function of its number alone."""


@dataclass(frozen=True)
class TrainingResult:
    """history: one row per logged step (step, losses by name, rates). seconds: wall-clock of this process's part."""

    history: list[dict[str, float]]
    resumed_from_step: int
    seconds: float
    tensors: dict[str, Tensor] = field(repr=False, default_factory=dict)


def train(
    task: TrainingTask,
    batches: Batches,
    spec: OptimizationSpec,
    *,
    label: str,
    resume_folder: Path | None = None,
    facts: Facts = MappingProxyType({}),
    quantizer_parameters: Collection[nn.Parameter] = (),
    tracker: Tracker | None = None,
    step_metrics: Callable[[], dict[str, float]] = dict,
    step_details: Callable[[], dict[str, float]] = dict,
    on_gradients: Callable[[], None] = lambda: None,
    companion: Companion | None = None,
    device: torch.device | str = "cpu",
) -> TrainingResult:
    """Run `spec.num_steps` optimizer steps, from the last checkpoint in `resume_folder` when there is one.

    step_metrics are logged and kept beside the losses; step_details are kept only. on_gradients is called when those
    of a step are complete, before they are clipped. companion: follows every step, and is part of the checkpoints.
    facts: what the numbers depend on (configuration, data, machine); a checkpoint with other facts is not used, and the
    log says why. The result's tensors are the final state dict (the average's, where one is kept). Raises
    NonFiniteLossError, what a batch raises, and OtherWorkerError where it raised on another worker.

    Within runtime.ranks.together every worker calls this with the same detector and its part of the batches. The
    first one logs, shows progress and writes checkpoints; all have the same result.
    """
    started = perf_counter()
    if spec.num_steps < 1:
        raise ValueError(f"Training needs a number of steps; got {spec.num_epochs} epochs. Call spec.for_images first.")
    tracker = (tracker if is_first() else None) or NullTracker()
    detector = task.detector
    if num_ranks() > 1:
        facts = {**facts, WORKERS: str(num_ranks())}
    optimizer = build_optimizer(detector, spec, quantizer_parameters)
    average = WeightAverage(detector, spec.ema_decay) if spec.ema_decay else None
    state = TrainingState(detector, optimizer, average, history=[], companion=companion.tensors if companion else {})
    first_step = load_latest(resume_folder, state, facts, label) if resume_folder else 0
    stream = batches(first_step * spec.accumulation_steps, (spec.num_steps - first_step) * spec.accumulation_steps)
    model = SharedModel(task)
    numbers = range(first_step, spec.num_steps)
    with synchronized_batch_norm(detector):
        for step in _shown(numbers, label):
            rate = learning_rate(spec, step) * (companion.rate_factor if companion else 1.0)
            set_learning_rate(optimizer, rate)
            losses = _accumulate(model, detector, stream, spec, device, step, resume_folder)
            on_gradients()
            if companion is not None:
                companion.on_gradients()
            if spec.max_gradient_norm:
                trained = [parameter for group in optimizer.param_groups for parameter in group["params"]]
                nn.utils.clip_grad_norm_(trained, spec.max_gradient_norm)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            if companion is not None:
                companion.after_step()
            done = step + 1
            if average is not None:
                average.update(detector, done)
            if done % spec.log_every_steps == 0 or done == spec.num_steps:
                row = {STEP: float(done), "loss": sum(losses.values()), **losses, LEARNING_RATE: rate, **step_metrics()}
                row |= companion.metrics() if companion else {}
                state.history.append(row | step_details())
                tracker.metrics({name: value for name, value in row.items() if name != STEP}, done)
            if resume_folder and is_first() and done % spec.checkpoint_every_steps == 0 and done < spec.num_steps:
                save_state(resume_folder, state, done, facts)
    tensors = average.tensors if average is not None else detector.state_dict()
    return TrainingResult(state.history, first_step, perf_counter() - started, dict(tensors))


def _shown(steps: range, label: str) -> Iterable[int]:
    return progress(steps, label, total=len(steps), unit="step") if is_first() else steps


def _accumulate(
    model: SharedModel,
    detector: nn.Module,
    stream: Iterator[DetectionBatch],
    spec: OptimizationSpec,
    device: torch.device | str,
    step: int,
    resume_folder: Path | None,
) -> dict[str, float]:
    """Forward and backward over the batches of one step; mean losses of all workers by name.

    Raises NonFiniteLossError, and on all workers together what a batch raises on one.
    """
    device_type = torch.device(device).type
    totals: dict[str, float] = {}
    for index in range(spec.accumulation_steps):
        batch = all_or_none(lambda: next(stream).to(device), device)

        def forward(batch: DetectionBatch = batch) -> dict[str, Tensor]:
            with torch.autocast(device_type, torch.bfloat16, enabled=spec.autocast == "bfloat16"):
                return model.losses(batch)

        with model.one_pass(is_last=index == spec.accumulation_steps - 1):
            losses = forward()
            total = torch.stack([loss.float() for loss in losses.values()]).sum() / spec.accumulation_steps
            model.backward(total)
        values = whole_losses(losses)  # waits for a GPU, so once a pass
        refuse_non_finite(values, losses, forward, detector, step, resume_folder)
        for name, value in values.items():
            totals[name] = totals.get(name, 0.0) + value / spec.accumulation_steps
    return totals
