"""What every detector family offers to the rest of the project.

Shape letters: B images, 3 RGB, H W pixels, K prompts, D embedding, N regions.
"""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Self

import torch
from torch import Tensor, nn

from crqat_pipeline.detectors.common.selection import SelectionSpec, select_detections
from crqat_pipeline.structures.batch import ImageTargets
from crqat_pipeline.structures.output import Detections, DetectorOutput, PositiveRegions
from crqat_pipeline.structures.quantization_contract import QuantizationContract
from crqat_pipeline.structures.vocabulary import TextBank


class OpenVocabularyDetector(nn.Module, ABC):
    """An image and a set of text embeddings in, scored boxes with region embeddings out.

    parts: part name -> prefixes of its modules' names; the order is that of the curriculum (backbone first).
    edge_layers: names of the layers that stay in full precision by default (first and last ones).
    full_precision: name patterns of further layers that stay so where the quantization spec names none.
    backbone_feature_names: the features that `backbone_features` returns, in order; PKD compares these.
    neck_feature_names: further features that `forward` returns on request; QFD takes the first unless told otherwise.
    loss_names: the keys of what `loss` returns. embedding_dim: D.
    size_divisor: sides of input images are multiples of it, in pixels.
    selection: how scored regions become detections; an exported graph's user needs it too.
    is_traceable: whether an ONNX graph may be traced from the forward pass; False says so at once where it is known
    not to work.

    A product of two activations that quantization may touch is a module with `product_operands`
    (structures.quantization_contract.ProductOperands), whose operands pass through nn.Identity children.

    What the project relies on beside the methods: the forward pass runs on the meta device and survives
    copy.deepcopy; the detector itself brings texts to the length that it compares with (callers pass them as the text
    encoder gave them); the output does not depend on the order of the prompts but for its columns.
    """

    parts: Mapping[str, tuple[str, ...]]
    edge_layers: tuple[str, ...]
    full_precision: tuple[str, ...] = ()
    backbone_feature_names: tuple[str, ...]
    neck_feature_names: tuple[str, ...] = ()
    loss_names: tuple[str, ...]
    embedding_dim: int
    size_divisor: int
    selection: SelectionSpec
    is_traceable: bool = True
    fixed_in_graphs: tuple[str, ...] = ()

    @property
    def quantization_contract(self) -> QuantizationContract:
        """What quantization needs of any model, from the attributes above."""
        inputs = partial(example_inputs, embedding_dim=self.embedding_dim)
        return QuantizationContract(self.parts, self.edge_layers, self.full_precision, self.size_divisor, inputs)

    @abstractmethod
    def backbone_features(self, images_B3HW: Tensor) -> dict[str, Tensor]:
        """The backbone alone: feature maps (B, C, h, w) by name."""

    @abstractmethod
    def forward(self, images_B3HW: Tensor, text_embeddings: Tensor, *, return_features: bool = False) -> DetectorOutput:
        """images in [0, 1]; text_embeddings (K, D) or (B, K, D). Features by name if asked for, backbone first."""

    @abstractmethod
    def assign(self, output: DetectorOutput, targets: Sequence[ImageTargets]) -> PositiveRegions:
        """The detector's own label assignment, without gradient; ordered by image, then region."""

    @abstractmethod
    def loss(self, output: DetectorOutput, targets: Sequence[ImageTargets]) -> dict[str, Tensor]:
        """Named scalar losses, already weighted; their sum is the task loss.

        On several workers they are parts that add up to the losses of the whole batch: what they are divided by is
        summed by runtime.ranks.
        """

    def detect(self, output: DetectorOutput, *, score_threshold: float, max_detections: int) -> list[Detections]:
        """Post-process by `selection`: one Detections per image, best first, in pixels of the input image."""
        return [
            select_detections(logits_NK, boxes_N4, score_threshold, max_detections, self.selection)
            for logits_NK, boxes_N4 in zip(output.class_logits_BNK, output.boxes_BN4, strict=True)
        ]

    def region_centres(self, output: DetectorOutput) -> Tensor:
        """(B, N, 2): x, y in pixels where each region looks; of its box unless the family knows better."""
        return (output.boxes_BN4[..., :2] + output.boxes_BN4[..., 2:]) / 2

    def in_order_of(self, output: DetectorOutput, reference: DetectorOutput) -> DetectorOutput:
        """`output` with its regions in the order of those of `reference`, another detector's answer to the same images.

        Distillation and alignment compare region n with region n. The output itself where regions have fixed places;
        families whose regions have none say which of theirs answers for which.
        """
        return output

    def level_strides(self) -> tuple[int, ...]:
        """Strides in pixels of the pyramid whose cells are the regions, level by level and row by row.

        Empty for a family whose regions have no fixed places.
        """
        return ()

    def frozen(self) -> Self:
        """A copy that is only looked at: eval mode, no gradients; families may return a faster equivalent."""
        return copy.deepcopy(self).eval().requires_grad_(False)

    def load_weights(self, source: str | Path, text_bank: TextBank | None = None) -> object:
        """Read ready weights from a file or URL; returns a printable report. Families that can do so override this.

        text_bank: embeddings of the run's prompts, for a closed-vocabulary detector whose class weights are to be
        expressed in the space of its class names' embeddings. Raises ValueError for what does not fit; the detector is
        then unchanged.
        """
        raise ValueError(
            f"{type(self).__name__} reads no foreign weights; got {source}. Train a teacher, or convert the file."
        )


def example_inputs(num_images: int, image_size_px: int, num_prompts: int, embedding_dim: int) -> tuple[Tensor, Tensor]:
    """Images (B, 3, H, W) and texts (K, D) on the meta device."""
    images_B3HW = torch.empty(num_images, 3, image_size_px, image_size_px, device="meta")
    return images_B3HW, torch.empty(num_prompts, embedding_dim, device="meta")
