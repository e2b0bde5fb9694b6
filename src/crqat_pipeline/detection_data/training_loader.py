"""Training batches that depend on (seed, step) only, so that a run resumes by naming a step.

Shape letters: B images, 3 RGB, H W pixels, M boxes of one image, K prompts, D embedding.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

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
from crqat_pipeline.detection_data.sample import Sample, fit_sample, load_sample, outline_sample
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


class BatchPart(NamedTuple):
    """The images of a batch that one of several workers takes: consecutive ones, as many as the others' or one more."""

    number: int = 0
    of: int = 1

    def rows(self, batch_size: int) -> range:
        """Raises ValueError for a batch that leaves a worker without an image."""
        if batch_size < self.of:
            raise ValueError(
                f"Every worker takes part of a batch; got {self.of} workers for batches of {batch_size}. Raise "
                "batch_size (and lower accumulation_steps), or take fewer workers."
            )
        return range(self.number * batch_size // self.of, (self.number + 1) * batch_size // self.of)


WHOLE = BatchPart()


class TrainingBatches(Dataset[PackedBatch]):
    """Batch by step: images run through shuffled epochs without a break, so every batch is full.

    part: the rows that are made. They are those of the whole batch, to the bit; of other rows the boxes are followed
    where prompts depend on them, and no file is opened.
    """

    def __init__(
        self,
        split: PreparedSplit,
        images: ImageFolder,
        sampler: PromptSampler,
        spec: LoaderSpec,
        seed: int,
        part: BatchPart = WHOLE,
    ) -> None:
        self._split, self._images, self._sampler, self._spec, self._seed = split, images, sampler, spec, seed
        self._rows = part.rows(spec.batch_size)
        has_scopes = any(category.scope for category in split.categories)
        self._scopes = PromptScopes(split, sampler, spec) if has_scopes else None

    def __getitem__(self, step: int) -> PackedBatch:
        spec, count = self._spec, len(self._split.images)
        seen = spec.batch_size if spec.prompt_scope == "batch" else self._rows.stop  # later draws change no earlier one
        positions = range(step * spec.batch_size, step * spec.batch_size + seen)
        indices = [int(_epoch_order(count, self._seed, at // count)[at % count]) for at in positions]
        made = [
            self._augmented(index, numpy_generator(self._seed, "image", position), has_pixels=row in self._rows)
            for row, (index, position) in enumerate(zip(indices, positions, strict=True))
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
            prompt_rows = prompt_rows[self._rows.start : self._rows.stop]
        pixels_B3HW = np.empty((len(self._rows), 3, spec.image_size_px, spec.image_size_px), dtype=np.uint8)
        targets = []
        for place, row in enumerate(self._rows):
            sample, (_, position_V) = samples[row], draws[row]
            pixels_B3HW[place] = np.asarray(sample.image).transpose(2, 0, 1)
            labels_M = position_V[columns[row]]
            asked_M = labels_M >= 0
            targets.append(
                ImageTargets(torch.from_numpy(sample.boxes_M4[asked_M]), torch.from_numpy(labels_M[asked_M]))
            )
        return PackedBatch(
            torch.from_numpy(pixels_B3HW),
            tuple(targets),
            torch.from_numpy(prompt_rows),
            tuple(self._split.images.ids[indices[self._rows.start : self._rows.stop]].tolist()),
        )

    def _load(self, index: int, has_pixels: bool) -> Sample:
        record = self._split.images[index]
        return load_sample(self._images, record) if has_pixels else outline_sample(record)

    def _augmented(self, index: int, random: np.random.Generator, has_pixels: bool) -> tuple[Sample, list[int]]:
        """The sample, and the images that it is made of. Without pixels it ends where categories stay as they are."""
        spec, sources = self._spec, [index]
        if spec.mosaic_probability and random.random() < spec.mosaic_probability:
            if self._scopes is None:
                sources += random.integers(0, len(self._split.images), 3).tolist()
            else:
                companions = self._scopes.companions(index)
                sources += companions[random.integers(0, len(companions), 3)].tolist()
            loaded = [self._load(number, has_pixels) for number in sources]
            sample = make_mosaic(loaded, spec.image_size_px, random)
            sample = random_scale_and_crop(sample, spec, random)
        else:
            sample, _ = fit_sample(self._load(index, has_pixels), spec.image_size_px)
            if spec.use_affine:
                sample = random_scale_and_crop(sample, spec, random)
        if not has_pixels:
            return sample, sources
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
    part: BatchPart = WHOLE,
) -> Iterator[DetectionBatch]:
    """Batches start_step to start_step + num_steps - 1 of an endless sequence fixed by the seed.

    vocabulary: where prompts are drawn from; it holds the categories of the split and may hold more. text_bank:
    embeddings of its names, optionally of its synonyms and the padding prompt. Batch i is the same for any
    start_step and number of loader processes. part: of every batch, for one of several workers.
    Raises ValueError for a category of the split outside the vocabulary, and what PromptSampler raises.
    """
    outside = sorted({category.id for category in split.categories} - set(vocabulary.category_ids))
    if outside:
        raise ValueError(
            f"The split has {len(outside)} categories that are not in the vocabulary, among them {outside[:10]}. "
            "Prepare the split with category_ids of the vocabulary."
        )
    dataset = TrainingBatches(split, images, PromptSampler(vocabulary, text_bank, spec), spec, seed, part)
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
