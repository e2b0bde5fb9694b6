"""A model that finds what it is told to find, to see what the predictor does around it."""

from __future__ import annotations

import torch

from crqat_pipeline.inference.runnable import ModelFacts
from crqat_pipeline.structures.output import Detections
from crqat_pipeline.structures.vocabulary import TextBank

BANK = TextBank(("red lamp", "Stray Cat"), torch.eye(2, 4), "open_clip:X:y:gelu", is_normalized=True)


class FixedModel:
    """Finds one box in every image, in input pixels, for the first prompt; keeps what it was given."""

    def __init__(self, box=(0.0, 0.0, 64.0, 64.0), **facts):
        known = {"form": "test", "embedding_dim": 4, "size_divisor_px": 32, "text_bank": BANK, "image_size_px": 64}
        self.facts = ModelFacts(**(known | facts))
        self.box = box
        self.images, self.texts = [], []

    def detect(self, images_B3HW, text_KD, *, score_threshold, max_detections):
        self.images.append(images_B3HW)
        self.texts.append(text_KD)
        found = Detections(torch.tensor([self.box]), torch.tensor([0.9]), torch.tensor([0]))
        return [found for _ in images_B3HW]


class EchoEncoder:
    """Encodes a prompt by its length."""

    name, embedding_dim, is_normalizing = "open_clip:X:y:gelu", 4, True

    def encode(self, prompts):
        rows = torch.tensor([[float(len(prompt)), 0, 0, 0] for prompt in prompts])
        return TextBank(tuple(prompts), rows, self.name, is_normalized=True)


class WideEncoder:
    """64 equal numbers per prompt: its length."""

    name, embedding_dim, is_normalizing = "wide", 64, False

    def encode(self, prompts):
        rows = torch.stack([torch.full((64,), float(len(prompt))) for prompt in prompts])
        return TextBank(tuple(prompts), rows, self.name, is_normalized=False)
