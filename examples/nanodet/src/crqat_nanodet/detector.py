"""NanoDet-m behind the detector protocol of crqat_pipeline.

Shape letters: B images, 3 RGB, H W pixels, K prompts, D embedding, N regions, R bins per box side.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, field_validator
from torch import Tensor

from crqat_nanodet.coco_names import COCO_NAMES
from crqat_nanodet.loading import GRAPH_SUFFIX, class_embeddings, read_ncnn
from crqat_nanodet.losses import GENERALIZED_FOCAL, generalized_focal_losses
from crqat_nanodet.network import LEVEL_STRIDES_PX, Backbone, Head, Neck
from crqat_pipeline.detectors import OpenVocabularyDetector
from crqat_pipeline.detectors.common.assigner import AssignerSpec, Assignment, assign_task_aligned
from crqat_pipeline.detectors.common.boxes import anchor_grid, decode_boxes
from crqat_pipeline.detectors.common.input_check import check_inputs
from crqat_pipeline.detectors.common.losses import LossSpec
from crqat_pipeline.detectors.common.selection import SelectionSpec
from crqat_pipeline.detectors.common.targets import FlatTargets, flatten_targets
from crqat_pipeline.detectors.weights import LoadReport, WeightsRefused, read_weights
from crqat_pipeline.structures.batch import ImageTargets
from crqat_pipeline.structures.output import DetectorOutput, PositiveRegions
from crqat_pipeline.structures.vocabulary import TextBank

HEAD_MAPS = ("td_p3", "bu_p4", "bu_p5")
LEVELS = range(len(LEVEL_STRIDES_PX))


class NanoDetSpec(BaseModel):
    """What may be chosen; the network itself is fixed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    embedding_dim: int = Field(512, ge=1, description="D, length of text embeddings (CLIP ViT-B/32: 512)")
    held_out_names: tuple[str, ...] = Field(
        (),
        description="COCO names that the text classifier is not fitted on when the published file is loaded; they are "
        "then answered as any other prompt is",
    )
    assigner: AssignerSpec = AssignerSpec()
    loss: LossSpec = GENERALIZED_FOCAL
    selection: SelectionSpec = SelectionSpec(nms_iou=0.6)

    @field_validator("held_out_names")
    @classmethod
    def _some_are_left(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        unknown = [name for name in names if name not in COCO_NAMES]
        if unknown or len(set(names)) == len(COCO_NAMES):
            got = ", ".join(map(repr, unknown[:3])) or "all of them"
            raise ValueError(f"held_out_names are some of the {len(COCO_NAMES)} names of COCO, not all; got {got}")
        return names

    @property
    def fitted_names(self) -> tuple[str, ...]:
        """In the order of the published network's outputs."""
        return tuple(name for name in COCO_NAMES if name not in self.held_out_names)


class NanoDet(OpenVocabularyDetector):
    """One-stage detector of 0.95 million parameters whose classifier is a product with text (projection.py).

    Features on request: c3, c4, c5 (backbone), td_p3, td_p4, bu_p4, bu_p5 (neck). It has no BatchNorm: the published
    files hold folded weights.
    """

    parts = {"backbone": ("backbone",), "neck": ("neck",), "head": ("head",)}  # noqa: RUF012 - read only
    edge_layers = (
        "backbone.stem.conv",
        *(f"head.levels.{level}.{layer}" for level in LEVELS for layer in ("embedding", "box")),
    )
    backbone_feature_names = ("c3", "c4", "c5")
    neck_feature_names = ("td_p3", "td_p4", "bu_p4", "bu_p5")
    loss_names = ("loss_class", "loss_box", "loss_dfl")
    size_divisor = LEVEL_STRIDES_PX[-1]

    def __init__(self, spec: NanoDetSpec) -> None:
        super().__init__()
        self.spec = spec
        self.embedding_dim, self.selection = spec.embedding_dim, spec.selection
        self.backbone, self.neck, self.head = Backbone(), Neck(), Head(spec.embedding_dim)

    def backbone_features(self, images_B3HW: Tensor) -> dict[str, Tensor]:
        """c3, c4, c5 at strides 8, 16, 32."""
        features: dict[str, Tensor] = self.backbone(images_B3HW)
        return features

    def forward(self, images_B3HW: Tensor, text_embeddings: Tensor, *, return_features: bool = False) -> DetectorOutput:
        """Raises ValueError for sides that are no multiple of 32 or text that does not fit D or B."""
        check_inputs(images_B3HW, text_embeddings, self.embedding_dim, self.size_divisor)
        text_XKD = text_embeddings if text_embeddings.ndim == 3 else text_embeddings.unsqueeze(0)
        backbone_maps = self.backbone_features(images_B3HW)
        neck_maps = self.neck(backbone_maps)
        maps = [neck_maps[name] for name in HEAD_MAPS]
        head = self.head(maps, text_XKD)
        sizes = [(map_BCHW.shape[2], map_BCHW.shape[3]) for map_BCHW in maps]
        points_N2, strides_N = anchor_grid(sizes, LEVEL_STRIDES_PX, like=head.box_bins_BN4R)
        return DetectorOutput(
            class_logits_BNK=head.class_logits_BNK,
            boxes_BN4=decode_boxes(head.box_bins_BN4R, points_N2, strides_N),
            region_embeddings_BND=head.region_embeddings_BND,
            text_embeddings=text_embeddings,
            box_bins_BN4R=head.box_bins_BN4R,
            features={**backbone_maps, **neck_maps} if return_features else {},
            family={"anchor_points_N2": points_N2, "strides_N": strides_N},
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
        return generalized_focal_losses(output, assignment, flat, self.spec.loss)

    def region_centres(self, output: DetectorOutput) -> Tensor:
        """Centres of the cells."""
        return output.family["anchor_points_N2"].expand(output.boxes_BN4.shape[0], -1, -1)

    def level_strides(self) -> tuple[int, ...]:
        """P3, P4, P5."""
        return LEVEL_STRIDES_PX

    def load_weights(self, source: str | Path, text_bank: TextBank | None = None) -> LoadReport:
        """The published ncnn pair, named by its .param file, or a .safetensors with this detector's own keys.

        For the pair, text_bank holds the embeddings of the 80 COCO names, without those of held_out_names if need be;
        other prompts beside them do no harm. Raises WeightsRefused, with this detector untouched, for files or a bank
        that do not fit.
        """
        path = Path(source)
        if "://" in str(source) or not path.is_file():
            raise WeightsRefused(
                f"NanoDet reads files of this machine, and {source} is none. Put the .param and the .bin file into one "
                "folder and give the path of the .param."
            )
        if path.suffix == GRAPH_SUFFIX:
            names = self.spec.fitted_names
            tensors = read_ncnn(path, self._fitting(class_embeddings(text_bank, names)), self, names)
            what = f"NanoDet-m 416 of ncnn, {len(names)} COCO classes expressed in text space"
        else:
            tensors, what = dict(read_weights(path).tensors), "NanoDet-m, own keys"
        expected = {name: tuple(tensor.shape) for name, tensor in self.state_dict().items()}
        unlike = set(expected.items()) ^ {(name, tuple(tensor.shape)) for name, tensor in tensors.items()}
        if unlike:
            raise WeightsRefused(
                f"{path.name} is no NanoDet-m for text of {self.embedding_dim} numbers: {min(unlike)[0]} and "
                f"{len(unlike) - 1} more differ. Give the published .param file, or detector.options.embedding_dim."
            )
        self.load_state_dict(tensors)
        return LoadReport(str(path), what, tuple(expected))

    def _fitting(self, text_KD: Tensor) -> Tensor:
        if text_KD.shape[1] != self.embedding_dim:
            raise WeightsRefused(
                f"This detector compares with texts of {self.embedding_dim} numbers; the bank has {text_KD.shape[1]}. "
                f"Set detector.options.embedding_dim={text_KD.shape[1]}."
            )
        return text_KD

    def _assign(self, output: DetectorOutput, targets: Sequence[ImageTargets]) -> tuple[Assignment, FlatTargets]:
        num_images, _, num_prompts = output.class_logits_BNK.shape
        flat = flatten_targets(targets, num_images, num_prompts, like=output.boxes_BN4)
        points_N2 = output.family["anchor_points_N2"]
        logits_BNK, boxes_BN4 = output.class_logits_BNK.detach(), output.boxes_BN4.detach()
        return assign_task_aligned(logits_BNK, boxes_BN4, points_N2, flat, self.spec.assigner), flat
