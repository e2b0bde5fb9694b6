"""A backbone, a neck and a head over a pyramid of cells, behind the detector protocol.

Shape letters: B images, 3 RGB, H W pixels, K prompts, D embedding, N regions, R bins per box side.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Generic, Self, TypeVar

from torch import Tensor, nn

from crqat_pipeline.detectors.common.assigner import Assignment, assign_task_aligned
from crqat_pipeline.detectors.common.boxes import anchor_grid, decode_boxes
from crqat_pipeline.detectors.common.input_check import check_inputs
from crqat_pipeline.detectors.common.losses import detection_losses
from crqat_pipeline.detectors.common.targets import FlatTargets, flatten_targets
from crqat_pipeline.detectors.one_stage.backbone import Backbone
from crqat_pipeline.detectors.one_stage.blocks import ConvUnit
from crqat_pipeline.detectors.one_stage.fold import fold_batch_norm
from crqat_pipeline.detectors.one_stage.head import Head
from crqat_pipeline.detectors.one_stage.spec import LEVEL_STRIDES_PX, OneStageSpec
from crqat_pipeline.detectors.protocol import OpenVocabularyDetector
from crqat_pipeline.structures.batch import ImageTargets
from crqat_pipeline.structures.output import DetectorOutput, PositiveRegions

Spec = TypeVar("Spec", bound=OneStageSpec)
HEAD_MAPS = ("td_p3", "bu_p4", "bu_p5")


class OneStageDetector(OpenVocabularyDetector, Generic[Spec]):
    """Regions are the cells of three levels; each is assigned by task alignment and compared with text in the head.

    Features on request: c3, c4, c5 (backbone), td_p3, td_p4, bu_p4, bu_p5 (neck).
    """

    size_divisor = LEVEL_STRIDES_PX[-1]
    backbone_feature_names = ("c3", "c4", "c5")
    neck_feature_names = ("td_p3", "td_p4", "bu_p4", "bu_p5")
    loss_names = ("loss_class", "loss_box", "loss_dfl")

    def __init__(self, spec: Spec, make_neck: Callable[[Spec], nn.Module]) -> None:
        super().__init__()
        self.spec = spec
        self.backbone = Backbone(spec)
        self.neck = make_neck(spec)
        self.head = Head(spec)
        self.embedding_dim, self.selection = spec.embedding_dim, spec.selection
        self.full_precision = spec.full_precision
        self.parts = {"backbone": ("backbone",), "neck": ("neck",), "head": ("head",)}
        self.edge_layers = tuple(_edge_layers(self))

    def backbone_features(self, images_B3HW: Tensor) -> dict[str, Tensor]:
        """c3, c4, c5 at strides 8, 16, 32."""
        features: dict[str, Tensor] = self.backbone(images_B3HW)
        return features

    def neck_features(self, backbone_maps: dict[str, Tensor], text_XKD: Tensor) -> dict[str, Tensor]:
        """td_p3, td_p4, bu_p4, bu_p5 from the backbone's maps, of a neck that sees no text."""
        maps: dict[str, Tensor] = self.neck(backbone_maps)
        return maps

    def compared_text(self, text_XKD: Tensor) -> Tensor:
        """The texts as the head compares them with regions."""
        return text_XKD

    def forward(self, images_B3HW: Tensor, text_embeddings: Tensor, *, return_features: bool = False) -> DetectorOutput:
        """Raises ValueError for sides that are no multiple of 32 or text that does not fit D or B."""
        check_inputs(images_B3HW, text_embeddings, self.embedding_dim, self.size_divisor)
        text_XKD = text_embeddings if text_embeddings.ndim == 3 else text_embeddings.unsqueeze(0)
        backbone_maps = self.backbone_features(images_B3HW)
        neck_maps = self.neck_features(backbone_maps, text_XKD)
        maps = [neck_maps[name] for name in HEAD_MAPS]
        compared_XKD = self.compared_text(text_XKD)
        head = self.head(maps, compared_XKD, return_raw=return_features)
        sizes = [(map_BCHW.shape[2], map_BCHW.shape[3]) for map_BCHW in maps]
        points_N2, strides_N = anchor_grid(sizes, LEVEL_STRIDES_PX, like=head.box_bins_BN4R)
        return DetectorOutput(
            class_logits_BNK=head.class_logits_BNK,
            boxes_BN4=decode_boxes(head.box_bins_BN4R, points_N2, strides_N),
            region_embeddings_BND=head.region_embeddings_BND,
            text_embeddings=compared_XKD if text_embeddings.ndim == 3 else compared_XKD[0],
            box_bins_BN4R=head.box_bins_BN4R,
            raw_region_embeddings_BND=head.raw_region_embeddings_BND,
            features={**backbone_maps, **neck_maps} if return_features else {},
            family={
                "anchor_points_N2": points_N2,
                "strides_N": strides_N,
            },
        )

    def assign(self, output: DetectorOutput, targets: Sequence[ImageTargets]) -> PositiveRegions:
        """Task-aligned assignment; positives are ordered by image and region."""
        assignment, flat = self._assign(output, targets)
        return PositiveRegions(
            image_P=assignment.image_P,
            region_P=assignment.region_P,
            prompt_P=flat.labels_O[assignment.object_P],
            object_P=flat.position_O[assignment.object_P],
            score_P=assignment.score_P,
        )

    def loss(self, output: DetectorOutput, targets: Sequence[ImageTargets]) -> dict[str, Tensor]:
        """loss_class, loss_box, loss_dfl."""
        assignment, flat = self._assign(output, targets)
        return detection_losses(output, assignment, flat, self.spec.loss)

    def region_centres(self, output: DetectorOutput) -> Tensor:
        """Centres of the anchors' cells."""
        return output.family["anchor_points_N2"].expand(output.boxes_BN4.shape[0], -1, -1)

    def level_strides(self) -> tuple[int, ...]:
        """P3, P4, P5."""
        return LEVEL_STRIDES_PX

    def frozen(self) -> Self:
        """BatchNorm in the convolutions' weights, activations in place: benchmarks/curriculum_cost.py.

        A detector with swapped layers is only copied.
        """
        units = [module for module in self.modules() if isinstance(module, ConvUnit)]
        if any(type(unit.conv) is not nn.Conv2d or type(unit.bn) is not nn.BatchNorm2d for unit in units):
            return super().frozen()
        folded = fold_batch_norm(self)
        for unit in folded.modules():
            if isinstance(unit, ConvUnit) and isinstance(unit.act, nn.SiLU):
                unit.act.inplace = True  # nothing else reads the convolution's output
        return folded.eval().requires_grad_(False)

    def _assign(self, output: DetectorOutput, targets: Sequence[ImageTargets]) -> tuple[Assignment, FlatTargets]:
        num_images, _, num_prompts = output.class_logits_BNK.shape
        flat = flatten_targets(targets, num_images, num_prompts, like=output.boxes_BN4)
        assignment = assign_task_aligned(
            output.class_logits_BNK.detach(),
            output.boxes_BN4.detach(),
            output.family["anchor_points_N2"],
            flat,
            self.spec.assigner,
        )
        return assignment, flat


def _edge_layers(detector: OneStageDetector[Any]) -> list[str]:
    branches = (*detector.head.box_branches, *detector.head.embedding_branches)
    edges: list[nn.Module] = [detector.backbone.stem.conv]
    edges.extend(branch[-1] for branch in branches)  # type: ignore[index]
    return [name for name, module in detector.named_modules() if any(module is edge for edge in edges)]
