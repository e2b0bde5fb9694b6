"""Build what a stage trains and take one step of it on made-up images; how much memory the real step will need.

Shape letters: B images, K prompts, D embedding.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from time import perf_counter

import torch
from torch import Tensor, nn

from crqat_pipeline.curriculum.apply import train_only
from crqat_pipeline.detection_data.loader_spec import LoaderSpec
from crqat_pipeline.detectors.protocol import OpenVocabularyDetector
from crqat_pipeline.quantization import QuantSpec, calibrate, prepare, quantizer_parameters, set_quantized
from crqat_pipeline.recipes.specs import QatStageSpec
from crqat_pipeline.structures.batch import DetectionBatch, ImageTargets
from crqat_pipeline.training.optimizer import build_optimizer
from crqat_pipeline.training.spec import OptimizationSpec
from crqat_pipeline.training.task import DistillationTask, SupervisedTask, TrainingTask

TRIAL_SIZES_PX = (64, 96)
SLOW_S = 4.0
"""A step that takes so long is timed once: what a first one does besides is small beside it."""


@dataclass(frozen=True)
class Trial:
    """weight_bytes: student, teacher and averages. training_bytes: gradients and optimizer moments.

    activation_bytes: what one batch of the real size keeps for the backward pass. losses: of the made-up batch.
    small_seconds: of a step on one small image. seconds_per_image: of the real size; NaN where none was timed.
    """

    weight_bytes: int
    training_bytes: int
    activation_bytes: float
    losses: dict[str, float]
    small_seconds: float
    seconds_per_image: float


def made_up_batch(num_images: int, size_px: int, num_prompts: int, dim: int, device: torch.device) -> DetectionBatch:
    """Noise with two boxes per image; every image has prompts of its own."""
    generator = torch.Generator().manual_seed(0)
    boxes_M4 = torch.tensor([[0.1, 0.1, 0.6, 0.6], [0.3, 0.2, 0.9, 0.8]]) * size_px
    target = ImageTargets(boxes_M4, torch.tensor([0, min(1, num_prompts - 1)]))
    texts_BKD = torch.randn(num_images, num_prompts, dim, generator=generator)
    images_B3HW = torch.rand(num_images, 3, size_px, size_px, generator=generator)
    batch = DetectionBatch(
        images_B3HW, (target,) * num_images, nn.functional.normalize(texts_BKD, dim=-1), tuple(range(num_images))
    )
    return batch.to(device)


def build_task(
    teacher: OpenVocabularyDetector, spec: QatStageSpec, quantization: QuantSpec, device: torch.device
) -> TrainingTask:
    """Student and teacher as the stage will have them, calibrated on noise, with the cheapest rule."""
    student = copy.deepcopy(teacher)
    if spec.is_quantized:
        cheap = {"weight_initialization": "minmax", "activation_initialization": "minmax"}
        prepare(student, QuantSpec.model_validate(quantization.model_dump() | cheap))
        student.to(device).eval()
        set_quantized(student, ())
        batch = made_up_batch(1, TRIAL_SIZES_PX[0], 4, teacher.embedding_dim, device)
        calibrate(student, [(batch.images_B3HW, batch.text_embeddings)], spec.parts)
        set_quantized(student, spec.parts)
    train_only(student, spec.parts, batch_norm="frozen" if spec.batch_norm == "frozen" else "live", trains=spec.trains)
    return DistillationTask(student.to(device), teacher, spec.distillation)


def supervised_task(teacher: OpenVocabularyDetector) -> TrainingTask:
    """The teacher's own training."""
    return SupervisedTask(copy.deepcopy(teacher).train())


def try_stage(
    task: TrainingTask,
    loader: LoaderSpec,
    optimization: OptimizationSpec,
    device: torch.device,
    timed_images: int,
) -> Trial:
    """One optimizer step on a small made-up image; then one on `timed_images` of the real size, timed, unless 0.

    Where they are a whole batch, the step accumulates as many batches as a real one.
    """
    detector = task.detector
    precision = optimization.autocast
    kept = [_kept_bytes(task, size, loader.num_prompts, precision, device) for size in TRIAL_SIZES_PX]
    pixels = [size**2 for size in TRIAL_SIZES_PX]
    per_pixel = max(0.0, (kept[1] - kept[0]) / (pixels[1] - pixels[0]))
    constant = max(0.0, kept[0] - per_pixel * pixels[0])
    activation_bytes = constant + per_pixel * loader.image_size_px**2 * loader.batch_size
    optimizer = build_optimizer(detector, optimization, quantizer_parameters(detector))

    def timed(num_images: int, size_px: int, num_batches: int) -> tuple[dict[str, float], float]:
        batch = made_up_batch(num_images, size_px, loader.num_prompts, detector.embedding_dim, device)
        started = perf_counter()
        losses = _step(task, batch, optimizer, optimization, num_batches)
        return losses, perf_counter() - started

    losses, small_seconds = timed(1, TRIAL_SIZES_PX[1], 1)
    seconds_per_image = math.nan
    if timed_images:
        num_batches = optimization.accumulation_steps if timed_images == loader.batch_size else 1
        for _ in range(2):  # the first one also makes buffers and compiles
            losses, seconds = timed(timed_images, loader.image_size_px, num_batches)
            seconds_per_image = seconds / (timed_images * num_batches)
            if seconds > SLOW_S:
                break
    trained = sum(value.numel() * 4 for value in detector.parameters() if value.requires_grad)
    weights = sum(value.numel() * value.element_size() for value in detector.state_dict().values())
    teacher = getattr(task, "teacher", None)
    copies = 1 + (optimization.ema_decay is not None) + (teacher is not None)
    return Trial(weights * copies, 3 * trained, activation_bytes, losses, small_seconds, seconds_per_image)


def _step(
    task: TrainingTask,
    batch: DetectionBatch,
    optimizer: torch.optim.Optimizer,
    optimization: OptimizationSpec,
    num_batches: int,
) -> dict[str, float]:
    """What the training loop does in one step; the losses by name. Raises ValueError for one that is not finite."""
    device_type = batch.images_B3HW.device.type
    for _ in range(num_batches):
        with torch.autocast(device_type, torch.bfloat16, enabled=optimization.autocast == "bfloat16"):
            terms = task.losses(batch)
        torch.stack([loss.float() for loss in terms.values()]).sum().backward()  # type: ignore[no-untyped-call]
    if optimization.max_gradient_norm:
        trained = [parameter for group in optimizer.param_groups for parameter in group["params"]]
        nn.utils.clip_grad_norm_(trained, optimization.max_gradient_norm)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    losses = {name: float(loss.detach()) for name, loss in terms.items()}  # waits for a GPU
    if not all(map(math.isfinite, losses.values())):
        raise ValueError(f"the losses of a made-up batch must be finite; got {losses}")
    return losses


def _kept_bytes(task: TrainingTask, size_px: int, num_prompts: int, precision: str, device: torch.device) -> float:
    """Bytes that autograd keeps for one image of this size."""
    batch = made_up_batch(1, size_px, num_prompts, task.detector.embedding_dim, device)
    with (
        _counting(task.detector) as storages,
        torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16"),
    ):
        losses = torch.stack([loss.float() for loss in task.losses(batch).values()]).sum()
        total = sum(storages.values())
    del losses
    return float(total)


@contextmanager
def _counting(model: nn.Module) -> Iterator[dict[int, int]]:
    """Address -> bytes of every storage that the forward pass keeps, the model's own parameters left out."""
    own = {value.untyped_storage().data_ptr() for value in (*model.parameters(), *model.buffers())}
    storages: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            storages[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        yield storages
