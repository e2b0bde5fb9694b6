"""A one-stage detector whose text never meets the image before the head's product.

Shape letters: X images or 1 (shared text), K prompts, D embedding.
"""

from __future__ import annotations

from torch import Tensor

from crqat_pipeline.detectors.dosod.neck import PlainNeck
from crqat_pipeline.detectors.dosod.spec import DosodSpec
from crqat_pipeline.detectors.dosod.text_adaptor import TextAdaptor
from crqat_pipeline.detectors.one_stage.detector import OneStageDetector


class Dosod(OneStageDetector[DosodSpec]):
    """Backbone and neck see images alone; texts pass an adaptor of their own and are compared with regions.

    A fixed vocabulary is a constant after the adaptor, so that what runs per image is a plain convolutional network.
    """

    def __init__(self, spec: DosodSpec) -> None:
        super().__init__(spec, PlainNeck)
        self.text_adaptor = TextAdaptor(spec.embedding_dim, spec.adaptor_width)
        self.parts = {"backbone": ("backbone",), "neck": ("neck",), "head": ("head", "text_adaptor")}

    def compared_text(self, text_XKD: Tensor) -> Tensor:
        """The texts in the joint space."""
        adapted_XKD: Tensor = self.text_adaptor(text_XKD)
        return adapted_XKD
