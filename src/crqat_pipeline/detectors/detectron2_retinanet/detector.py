"""RetinaNet of detectron2 behind the detector protocol.

Shape letters: B images, 3 RGB, H W pixels, K prompts, D embedding, N regions.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from torch import Tensor

from crqat_pipeline.detectors.common.input_check import check_inputs
from crqat_pipeline.detectors.common.targets import flatten_targets
from crqat_pipeline.detectors.detectron2_retinanet.anchors import anchor_boxes, decode
from crqat_pipeline.detectors.detectron2_retinanet.backbone import (
    STAGES,
    Pixels,
    build_resnet,
    with_plain_convolutions,
)
from crqat_pipeline.detectors.detectron2_retinanet.head import TextHead
from crqat_pipeline.detectors.detectron2_retinanet.labels import losses, match
from crqat_pipeline.detectors.detectron2_retinanet.loading import load_weights
from crqat_pipeline.detectors.detectron2_retinanet.neck import Pyramid
from crqat_pipeline.detectors.detectron2_retinanet.spec import RetinaNetSpec
from crqat_pipeline.detectors.protocol import OpenVocabularyDetector
from crqat_pipeline.detectors.weights import LoadReport
from crqat_pipeline.structures.batch import ImageTargets
from crqat_pipeline.structures.output import DetectorOutput, PositiveRegions
from crqat_pipeline.structures.vocabulary import TextBank


class TextRetinaNet(OpenVocabularyDetector):
    """ResNet, feature pyramid and RetinaNet's dense head, whose regions are compared with text.

    Features on request: res3, res4, res5 (backbone), p3, p4, p5 and, if there are, p6, p7 (neck).
    """

    size_divisor = 32
    backbone_feature_names = STAGES
    loss_names = ("loss_class", "loss_box")

    def __init__(self, spec: RetinaNetSpec) -> None:
        super().__init__()
        self.spec = spec
        self.pixels = Pixels(spec)
        self.backbone = build_resnet(spec)
        self.neck = Pyramid(spec, self.backbone)
        self.head = TextHead(spec)
        with_plain_convolutions(self)
        self.neck_feature_names = self.neck.level_names
        self.embedding_dim, self.selection = spec.embedding_dim, spec.selection
        self.full_precision = spec.full_precision
        self.parts = {"backbone": ("backbone",), "neck": ("neck",), "head": ("head",)}
        self.edge_layers = ("backbone.stem.conv1.conv", "head.cls_score", "head.bbox_pred")

    def backbone_features(self, images_B3HW: Tensor) -> dict[str, Tensor]:
        """res3, res4, res5 at strides 8, 16, 32."""
        features: dict[str, Tensor] = self.backbone(self.pixels(images_B3HW))
        return features

    def forward(self, images_B3HW: Tensor, text_embeddings: Tensor, *, return_features: bool = False) -> DetectorOutput:
        """Raises ValueError for sides that are no multiple of 32 or text that does not fit D or B."""
        check_inputs(images_B3HW, text_embeddings, self.embedding_dim, self.size_divisor)
        text_XKD = text_embeddings if text_embeddings.ndim == 3 else text_embeddings.unsqueeze(0)
        backbone_maps = self.backbone_features(images_B3HW)
        neck_maps = self.neck(backbone_maps)
        maps = list(neck_maps.values())
        logits_BNK, regions_BND, deltas_BN4 = self.head(maps, text_XKD)
        anchors_N4 = anchor_boxes([(one.shape[2], one.shape[3]) for one in maps], self.spec, like=deltas_BN4)
        return DetectorOutput(
            class_logits_BNK=logits_BNK,
            boxes_BN4=decode(deltas_BN4, anchors_N4),
            region_embeddings_BND=regions_BND,
            text_embeddings=text_embeddings,
            features={**backbone_maps, **neck_maps} if return_features else {},
            family={"anchors_N4": anchors_N4, "deltas_BN4": deltas_BN4},
        )

    def assign(self, output: DetectorOutput, targets: Sequence[ImageTargets]) -> PositiveRegions:
        """By overlap of anchors and objects alone; ordered by image and region."""
        self._check(output, targets)
        return match(output.family["anchors_N4"], targets, self.spec)[0]

    def loss(self, output: DetectorOutput, targets: Sequence[ImageTargets]) -> dict[str, Tensor]:
        """loss_class, loss_box."""
        self._check(output, targets)
        return losses(output, targets, self.spec)

    def region_centres(self, output: DetectorOutput) -> Tensor:
        """Centres of the anchors."""
        anchors_N4 = output.family["anchors_N4"]
        return ((anchors_N4[:, :2] + anchors_N4[:, 2:]) / 2).expand(output.boxes_BN4.shape[0], -1, -1)

    def level_strides(self) -> tuple[int, ...]:
        """Of a detector with one anchor per cell, whose levels divide every input; else none."""
        has_one_region = self.spec.anchors_per_cell == 1 and not self.spec.has_p6_p7
        return self.spec.strides_px if has_one_region else ()

    def load_weights(self, source: str | Path, text_bank: TextBank | None = None) -> LoadReport:
        """Weights of detectron2's model zoo (.pkl) or of its training (.pth); a path, hf:// or https:// source.

        text_bank: prompts of the file's classes in their order; class weights are then expressed in its space, else
        they are left out. Raises WeightsRefused, with this detector untouched, for a file that is unsafe or unfit.
        """
        return load_weights(self, source, text_bank)

    def _check(self, output: DetectorOutput, targets: Sequence[ImageTargets]) -> None:
        num_images, _, num_prompts = output.class_logits_BNK.shape
        flatten_targets(targets, num_images, num_prompts, like=output.boxes_BN4)
