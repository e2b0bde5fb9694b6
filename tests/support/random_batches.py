"""Small random batches, each a function of its number alone, and a small real detector."""

from collections.abc import Iterator

import torch

from crqat_pipeline.detectors import build_detector
from crqat_pipeline.detectors.protocol import OpenVocabularyDetector
from crqat_pipeline.structures.batch import DetectionBatch, ImageTargets

SIDE_PX = 64
NUM_PROMPTS = 6


def small_detector(seed: int = 0) -> OpenVocabularyDetector:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return build_detector("yolo_world_open_shapes")


def random_batch(number: int, num_images: int = 2) -> DetectionBatch:
    generator = torch.Generator().manual_seed(number)
    targets = []
    for _ in range(num_images):
        corner_M2 = torch.rand(2, 2, generator=generator) * 30
        boxes_M4 = torch.cat([corner_M2, corner_M2 + 12 + 20 * torch.rand(2, 2, generator=generator)], dim=1)
        targets.append(ImageTargets(boxes_M4, torch.randint(NUM_PROMPTS, (2,), generator=generator)))
    texts_KD = torch.nn.functional.normalize(torch.randn(NUM_PROMPTS, 64, generator=generator), dim=-1)
    images_B3HW = torch.rand(num_images, 3, SIDE_PX, SIDE_PX, generator=generator)
    return DetectionBatch(images_B3HW, tuple(targets), texts_KD, tuple(range(num_images)))


def random_batches(first: int, count: int) -> Iterator[DetectionBatch]:
    return (random_batch(number) for number in range(first, first + count))
