"""What every detector family offers to the rest of the project.

Shape letters: B images, 3 RGB, H W pixels, K prompts, D embedding, N regions.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path

from torch import Tensor, nn

from crqat_pipeline.structures.batch import ImageTargets
from crqat_pipeline.structures.output import Detections, DetectorOutput, PositiveRegions


class OpenVocabularyDetector(nn.Module, ABC):
    """An image and a set of text embeddings in, scored boxes with region embeddings out.

    parts: part name -> prefixes of its modules' names; the order is that of the curriculum (backbone first).
    edge_layers: names of the layers that stay in full precision by default (first and last ones).
    backbone_feature_names: the features that `backbone_features` returns, in order.
    embedding_dim: D. size_divisor: sides of input images are multiples of it, in pixels.
    An attention product that quantization may touch is a module with an attribute `attention_operands`:
    a dict from the name of an nn.Identity child, which the operand passes through, to the axis of its heads.
    The product of regions and text is a module with `is_similarity_product = True` and, as names of nn.Identity
    children, `similarity_operands`; it has no `attention_operands`, so it stays in full precision by default.
    """

    parts: Mapping[str, tuple[str, ...]]
    edge_layers: tuple[str, ...]
    backbone_feature_names: tuple[str, ...]
    embedding_dim: int
    size_divisor: int

    @abstractmethod
    def backbone_features(self, images_B3HW: Tensor) -> dict[str, Tensor]:
        """The backbone alone: feature maps (B, C, h, w) by name."""

    @abstractmethod
    def forward(self, images_B3HW: Tensor, text_embeddings: Tensor, *, return_features: bool = False) -> DetectorOutput:
        """images in [0, 1]; text_embeddings (K, D) or (B, K, D). Features by name if asked for."""

    @abstractmethod
    def assign(self, output: DetectorOutput, targets: Sequence[ImageTargets]) -> PositiveRegions:
        """The detector's own label assignment, without gradient."""

    @abstractmethod
    def loss(self, output: DetectorOutput, targets: Sequence[ImageTargets]) -> dict[str, Tensor]:
        """Named scalar losses, already weighted; their sum is the task loss."""

    @abstractmethod
    def detect(self, output: DetectorOutput, *, score_threshold: float, max_detections: int) -> list[Detections]:
        """Post-process: one Detections per image, best first, in pixels of the input image."""

    def load_weights(self, source: str | Path) -> object:
        """Read ready weights from a file or URL; returns a printable report. Families that can do so override this.

        Raises ValueError for what does not fit; the detector is then unchanged.
        """
        raise ValueError(
            f"{type(self).__name__} reads no foreign weights; got {source}. Train a teacher, or convert the file."
        )
