"""One predictor over every runnable form: images and prompts in, detections in pixels of the original images out.

Shape letters: B images, 3 RGB, H W pixels, K prompts, D embedding, M detections.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from crqat_pipeline.detection_data.rectangle import InputSize, check_input, fit
from crqat_pipeline.detectors import OpenVocabularyDetector
from crqat_pipeline.inference.image_source import ImageSource, open_image
from crqat_pipeline.inference.model_file import open_model
from crqat_pipeline.inference.prompt_resolver import PromptResolver
from crqat_pipeline.inference.runnable import ModelFacts, Runnable
from crqat_pipeline.inference.torch_model import TorchModel, checkpoint_model, packed_model
from crqat_pipeline.model_files.opening import naming
from crqat_pipeline.model_files.packed import PackedModel
from crqat_pipeline.structures.checkpoint import Checkpoint
from crqat_pipeline.structures.output import Detections
from crqat_pipeline.structures.vocabulary import TextBank
from crqat_pipeline.text_encoders import TextEncoder

DEFAULT_IMAGE_SIZE_PX = 640


class Predictor:
    """A model, its prompts at hand, and the way from any image to its input and back."""

    def __init__(
        self,
        model: Runnable,
        *,
        image_size_px: InputSize | None = None,
        vocabularies: Mapping[str, Path] | None = None,
        text_encoder: TextEncoder | None = None,
    ) -> None:
        """image_size_px: of the input; default: what the model records, else 640. See `load`."""
        size = image_size_px or model.facts.image_size_px or DEFAULT_IMAGE_SIZE_PX
        check_input(size, model.facts.size_divisor_px)
        self._model, self.image_size_px = model, size
        self._resolver = PromptResolver(model.facts, vocabularies, text_encoder)

    @classmethod
    def load(
        cls,
        source: str | Path | Checkpoint | OpenVocabularyDetector | PackedModel | Runnable,
        *,
        image_size_px: InputSize | None = None,
        vocabularies: Mapping[str, Path] | None = None,
        text_encoder: TextEncoder | None = None,
        device: torch.device | str = "cpu",
    ) -> Predictor:
        """From a file (checkpoint, packed int4, ONNX), a checkpoint, a detector, or what `read_packed` returned.

        vocabularies: name -> text bank file, for prompts whose embeddings are at hand. text_encoder: for all other
        prompts; by default the one that the model records, if it can be built.
        Raises ValueError that says what the file is and what to do.
        """
        if isinstance(source, (str, Path)):
            model = open_model(Path(source), device)
            with naming(Path(source)):
                return cls(model, image_size_px=image_size_px, vocabularies=vocabularies, text_encoder=text_encoder)
        if isinstance(source, Checkpoint):
            model = checkpoint_model(source, device)
        elif isinstance(source, OpenVocabularyDetector):
            model = TorchModel(source, "detector", device=device)
        elif isinstance(source, PackedModel):
            model = packed_model(source, device)
        else:
            model = source
        return cls(model, image_size_px=image_size_px, vocabularies=vocabularies, text_encoder=text_encoder)

    @property
    def facts(self) -> ModelFacts:
        return self._model.facts

    @property
    def vocabularies(self) -> tuple[str, ...]:
        """Names of the vocabularies at hand; "model" is the one that came with the model."""
        return self._resolver.vocabularies

    def text_bank(self, prompts: Sequence[str] | None = None, vocabulary: str | Path | None = None) -> TextBank:
        """Prompts and embeddings that `predict` uses for these arguments; labels_M are its rows."""
        fixed = self.facts.fixed_prompts
        if fixed is None:
            return self._resolver.resolve(prompts, vocabulary)
        chosen = fixed if prompts is None else tuple(prompts)
        unknown = [prompt for prompt in chosen if prompt not in fixed]
        if unknown or vocabulary is not None:
            raise ValueError(
                f"This model's vocabulary of {len(fixed)} prompts is part of its graph; got {unknown or vocabulary!r}. "
                f"Choose among {', '.join(fixed[:10])} …, or export the model with prompts as an input."
            )
        return TextBank(chosen, torch.zeros(len(chosen), self.facts.embedding_dim), "folded", is_normalized=False)

    def predict(
        self,
        images: ImageSource | Sequence[ImageSource],
        prompts: Sequence[str] | TextBank | None = None,
        vocabulary: str | Path | None = None,
        score_threshold: float = 0.3,
        max_detections: int = 100,
        batch_size: int = 1,
    ) -> list[Detections]:
        """One Detections per image: boxes_M4 in pixels of the upright original, labels_M rows of `text_bank`.

        images: a path, PIL image or array, or a list of them. prompts and vocabulary: see `text_bank`; both may change
        between calls. What `text_bank` returned stands for its prompts, which are then not embedded again: give it
        where the same prompts are asked of many images one by one. score_threshold: a probability. Raises ImageError
        for an image that cannot be read, ValueError for prompts, thresholds or counts that do not fit.
        """
        if isinstance(images, (str, Path)) or not isinstance(images, Sequence):
            images = [images]
        bank = prompts if isinstance(prompts, TextBank) else self.text_bank(prompts, vocabulary)
        results: list[Detections] = []
        for start in range(0, len(images), batch_size):
            chunk = images[start : start + batch_size]
            results.extend(self._predict_batch(chunk, bank, score_threshold, max_detections))
        return results

    def _predict_batch(
        self, images: Sequence[ImageSource], bank: TextBank, score_threshold: float, max_detections: int
    ) -> list[Detections]:
        fitted = [fit(open_image(image), self.image_size_px) for image in images]
        pixels = np.stack([np.asarray(image).transpose(2, 0, 1) for image, _ in fitted])
        images_B3HW = torch.from_numpy(pixels).float().div_(255)
        found = self._model.detect(
            images_B3HW, bank.embeddings_KD, score_threshold=score_threshold, max_detections=max_detections
        )
        return [
            self._named(Detections(geometry.to_original(item.boxes_M4), item.scores_M, item.labels_M), bank)
            for item, (_, geometry) in zip(found, fitted, strict=True)
        ]

    def _named(self, detections: Detections, bank: TextBank) -> Detections:
        """Labels of a folded vocabulary, as rows of the prompts that were asked for; others are left out."""
        fixed = self.facts.fixed_prompts
        if fixed is None or bank.prompts == fixed:
            return detections
        row_of = torch.full((len(fixed),), -1)
        for row, prompt in enumerate(bank.prompts):
            row_of[fixed.index(prompt)] = row
        labels_M: Tensor = row_of[detections.labels_M]
        kept = labels_M >= 0
        return Detections(detections.boxes_M4[kept], detections.scores_M[kept], labels_M[kept])
