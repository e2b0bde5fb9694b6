"""Training batches that depend on (seed, step) only, so that a run resumes by naming a step.

Shape letters: B images, 3 RGB, H W pixels, M boxes of one image, K prompts, D embedding.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from crqat_pipeline.detection_data.augmentation import flip, jitter_colours, random_scale_and_crop
from crqat_pipeline.detection_data.image_folder import ImageFolder
from crqat_pipeline.detection_data.loader_spec import LoaderSpec
from crqat_pipeline.detection_data.mosaic import make_mosaic
from crqat_pipeline.detection_data.prepared_split import PreparedSplit
from crqat_pipeline.detection_data.prompt_sampling import PromptSampler
from crqat_pipeline.detection_data.prompt_scopes import PromptScopes
from crqat_pipeline.detection_data.sample import Sample, fit_sample, load_sample
from crqat_pipeline.runtime.seeding import numpy_generator, torch_generator
from crqat_pipeline.structures.batch import DetectionBatch, ImageTargets
from crqat_pipeline.structures.vocabulary import TextBank, Vocabulary


@dataclass(frozen=True)
class PackedBatch:
    """What a loader process hands over: bytes instead of floats, rows of the text bank instead of embeddings.

    prompt_rows: (K,) shared or (B, K) per image.
    """

    images_B3HW: Tensor
    targets: tuple[ImageTargets, ...]
    prompt_rows: Tensor
    image_ids: tuple[int, ...]


@lru_cache(maxsize=4)
def _epoch_order(num_images: int, seed: int, epoch: int) -> NDArray[np.int64]:
    return numpy_generator(seed, "epoch", epoch).permutation(num_images)


class TrainingBatches(Dataset[PackedBatch]):
    """Batch by step: images run through shuffled epochs without a break, so every batch is full."""

    def __init__(
        self, split: PreparedSplit, images: ImageFolder, sampler: PromptSampler, spec: LoaderSpec, seed: int
    ) -> None:
        self._split, self._images, self._sampler, self._spec, self._seed = split, images, sampler, spec, seed
        has_scopes = any(category.scope for category in split.categories)
        self._scopes = PromptScopes(split, sampler, spec) if has_scopes else None

    def __getitem__(self, step: int) -> PackedBatch:
        spec, count = self._spec, len(self._split.images)
        positions = range(step * spec.batch_size, (step + 1) * spec.batch_size)
        indices = [int(_epoch_order(count, self._seed, at // count)[at % count]) for at in positions]
        made = [
            self._augmented(index, numpy_generator(self._seed, "image", position))
            for index, position in zip(indices, positions, strict=True)
        ]
        samples = [sample for sample, _ in made]
        columns = [self._sampler.columns(sample.category_ids_M.tolist()) for sample in samples]
        random = numpy_generator(self._seed, "prompts", step)
        if spec.prompt_scope == "batch":
            draws = [self._sampler.draw(np.concatenate(columns), random)] * len(samples)
            prompt_rows = draws[0][0]
        else:
            draws = [
                self._sampler.draw(present, random, self._scopes.candidates(sources) if self._scopes else None)
                for present, (_, sources) in zip(columns, made, strict=True)
            ]
            prompt_rows = np.stack([rows for rows, _ in draws])
        pixels_B3HW = np.empty((len(samples), 3, spec.image_size_px, spec.image_size_px), dtype=np.uint8)
        targets = []
        for row, (sample, present, (_, position_V)) in enumerate(zip(samples, columns, draws, strict=True)):
            pixels_B3HW[row] = np.asarray(sample.image).transpose(2, 0, 1)
            labels_M = position_V[present]
            asked_M = labels_M >= 0
            targets.append(
                ImageTargets(torch.from_numpy(sample.boxes_M4[asked_M]), torch.from_numpy(labels_M[asked_M]))
            )
        return PackedBatch(
            torch.from_numpy(pixels_B3HW),
            tuple(targets),
            torch.from_numpy(prompt_rows),
            tuple(self._split.images.ids[indices].tolist()),
        )

    def _load(self, index: int) -> Sample:
        return load_sample(self._images, self._split.images[index])

    def _augmented(self, index: int, random: np.random.Generator) -> tuple[Sample, list[int]]:
        """The sample, and the images that it is made of."""
        spec, sources = self._spec, [index]
        if spec.mosaic_probability and random.random() < spec.mosaic_probability:
            if self._scopes is None:
                sources += random.integers(0, len(self._split.images), 3).tolist()
            else:
                companions = self._scopes.companions(index)
                sources += companions[random.integers(0, len(companions), 3)].tolist()
            sample = make_mosaic([self._load(number) for number in sources], spec.image_size_px, random)
            sample = random_scale_and_crop(sample, spec, random)
        else:
            sample, _ = fit_sample(self._load(index), spec.image_size_px)
            if spec.use_affine:
                sample = random_scale_and_crop(sample, spec, random)
        if spec.use_photometric:
            sample = jitter_colours(sample, spec, random)
        return flip(sample, spec.flip_probability, random), sources


def training_batches(
    split: PreparedSplit,
    images: ImageFolder,
    text_bank: TextBank,
    vocabulary: Vocabulary,
    spec: LoaderSpec,
    seed: int,
    start_step: int,
    num_steps: int,
) -> Iterator[DetectionBatch]:
    """Batches start_step to start_step + num_steps - 1 of an endless sequence fixed by the seed.

    vocabulary: where prompts are drawn from; it holds the categories of the split and may hold more. text_bank:
    embeddings of its names, optionally of its synonyms and the padding prompt. Batch i is the same for any
    start_step and number of loader processes.
    Raises ValueError for a category of the split outside the vocabulary, and what PromptSampler raises.
    """
    outside = sorted({category.id for category in split.categories} - set(vocabulary.category_ids))
    if outside:
        raise ValueError(
            f"The split has {len(outside)} categories that are not in the vocabulary, among them {outside[:10]}. "
            "Prepare the split with category_ids of the vocabulary."
        )
    dataset = TrainingBatches(split, images, PromptSampler(vocabulary, text_bank, spec), spec, seed)
    loader: DataLoader[PackedBatch] = DataLoader(
        dataset,
        batch_size=None,
        sampler=range(start_step, start_step + num_steps),
        num_workers=spec.num_workers,
        generator=torch_generator(seed, "loader"),
    )
    for packed in loader:
        yield DetectionBatch(
            packed.images_B3HW.float().div_(255),
            packed.targets,
            text_bank.embeddings_KD[packed.prompt_rows],
            packed.image_ids,
        )
