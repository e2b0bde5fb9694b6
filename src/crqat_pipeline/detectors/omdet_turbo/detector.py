"""OmDet-Turbo behind the detector protocol.

Shape letters: B images, 3 RGB, H W pixels, K prompts, D text embedding, C width of decoder and compared texts,
N queries, O objects, L answers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn
from torchvision.ops import box_convert

from crqat_pipeline.detectors.common.input_check import check_inputs
from crqat_pipeline.detectors.common.targets import FlatTargets, flatten_targets
from crqat_pipeline.detectors.omdet_turbo.backbone import NAMES, Backbone
from crqat_pipeline.detectors.omdet_turbo.head import Head, rows
from crqat_pipeline.detectors.omdet_turbo.loading import load_weights
from crqat_pipeline.detectors.omdet_turbo.losses import query_losses
from crqat_pipeline.detectors.omdet_turbo.matching import corners, match_best, matching_costs, overlaps
from crqat_pipeline.detectors.omdet_turbo.neck import build_neck_and_decoder
from crqat_pipeline.detectors.omdet_turbo.spec import STRIDES_PX, OmDetTurboSpec
from crqat_pipeline.detectors.protocol import OpenVocabularyDetector
from crqat_pipeline.detectors.weights import LoadReport
from crqat_pipeline.structures.batch import ImageTargets
from crqat_pipeline.structures.output import DetectorOutput, PositiveRegions
from crqat_pipeline.structures.vocabulary import TextBank

FAR = 10.0
"""More than two boxes inside an image are apart."""


class OmDetTurbo(OpenVocabularyDetector):
    """Regions are decoder queries; they and the projected texts are compared in the decoder's width.

    Features on request: c3, c4, c5 (backbone), p3, p4, p5 (neck). The class heads and the product of boxes and
    coordinates are first and last layers: they stay in full precision by default.
    """

    size_divisor = STRIDES_PX[-1]
    backbone_feature_names = NAMES
    neck_feature_names = ("p3", "p4", "p5")
    loss_names = ("loss_class", "loss_box", "loss_giou")
    fixed_in_graphs = ("image_size_px",)  # attention windows; tracing them with free sides does not end in minutes

    def __init__(self, spec: OmDetTurboSpec) -> None:
        super().__init__()
        self.spec = spec
        self.backbone = Backbone(spec)
        self.neck, decoder = build_neck_and_decoder(spec)
        self.head = Head(decoder, spec.num_queries, spec.embedding_dim)
        self.embedding_dim, self.selection = spec.embedding_dim, spec.selection
        self.parts = {"backbone": ("backbone",), "neck": ("neck",), "head": ("head",)}
        self.edge_layers = tuple(_edge_layers(self))

    def backbone_features(self, images_B3HW: Tensor) -> dict[str, Tensor]:
        """c3, c4, c5 at strides 8, 16, 32."""
        features: dict[str, Tensor] = self.backbone(images_B3HW)
        return features

    def forward(self, images_B3HW: Tensor, text_embeddings: Tensor, *, return_features: bool = False) -> DetectorOutput:
        """Raises ValueError for sides that are no multiple of 32 or text that does not fit D or B."""
        check_inputs(images_B3HW, text_embeddings, self.embedding_dim, self.size_divisor)
        text_XKD = text_embeddings if text_embeddings.ndim == 3 else text_embeddings.unsqueeze(0)
        backbone_maps = self.backbone_features(images_B3HW)
        neck_maps = self.neck(list(backbone_maps.values()))
        answers = self.head(neck_maps, text_XKD)
        height, width = images_B3HW.shape[2:]
        sides_4 = images_B3HW.new_tensor((width, height, width, height))
        features = {**backbone_maps, **dict(zip(self.neck_feature_names, neck_maps, strict=True))}
        return DetectorOutput(
            class_logits_BNK=answers.logits_LBNK[-1],
            boxes_BN4=corners(answers.boxes_LBN4[-1]) * sides_4,
            region_embeddings_BND=answers.queries_BNC,
            text_embeddings=answers.texts_XKC if text_embeddings.ndim == 3 else answers.texts_XKC[0],
            features=features if return_features else {},
            family={
                "logits_LBNK": answers.logits_LBNK,
                "boxes_LBN4": answers.boxes_LBN4,
                "cell_BN": answers.cell_BN,
                "sides_4": sides_4,
            },
        )

    @torch.no_grad()
    def assign(self, output: DetectorOutput, targets: Sequence[ImageTargets]) -> PositiveRegions:
        """The `positives_per_object` cheapest queries of each object by the matching costs; their score is the IoU."""
        flat, objects_O4 = self._targets(output, targets)
        boxes_BN4 = output.family["boxes_LBN4"][-1]
        columns: list[tuple[Tensor, ...]] = []
        for image in range(len(targets)):
            (mine,) = (flat.image_O == image).nonzero(as_tuple=True)
            labels_O, wanted_O4 = flat.labels_O[mine], objects_O4[mine]
            logits_NK = output.class_logits_BNK[image]
            cost_NO = matching_costs(logits_NK, boxes_BN4[image], labels_O, wanted_O4, self.spec.loss)
            query_P, place_P = match_best(cost_NO, self.spec.positives_per_object)
            score_P = overlaps(boxes_BN4[image, query_P], wanted_O4[place_P])
            columns.append((torch.full_like(query_P, image), query_P, labels_O[place_P], place_P, score_P))
        image_P, region_P, prompt_P, object_P, score_P = (torch.cat(column) for column in zip(*columns, strict=True))
        return PositiveRegions(image_P, region_P, prompt_P, object_P, score_P)

    def loss(self, output: DetectorOutput, targets: Sequence[ImageTargets]) -> dict[str, Tensor]:
        """loss_class, loss_box, loss_giou."""
        flat, objects_O4 = self._targets(output, targets)
        family = output.family
        return query_losses(family["logits_LBNK"], family["boxes_LBN4"], objects_O4, flat, self.spec.loss)

    def in_order_of(self, output: DetectorOutput, reference: DetectorOutput) -> DetectorOutput:
        """For each query of the reference the one from the same cell; where there is none, that of the nearest box."""
        is_same_BNN = output.family["cell_BN"].unsqueeze(1) == reference.family["cell_BN"].unsqueeze(2)
        boxes_BN4, wanted_BN4 = output.family["boxes_LBN4"][-1].detach(), reference.family["boxes_LBN4"][-1].detach()
        distance_BNN = torch.cdist(wanted_BN4.float(), boxes_BN4.float(), p=1)
        region_BN = (distance_BNN - FAR * is_same_BNN).argmin(dim=2)
        return replace(
            output,
            class_logits_BNK=rows(output.class_logits_BNK, region_BN),
            boxes_BN4=rows(output.boxes_BN4, region_BN),
            region_embeddings_BND=rows(output.region_embeddings_BND, region_BN),
            family={},
        )

    def load_weights(self, source: str | Path, text_bank: TextBank | None = None) -> LoadReport:
        """Released weights: a folder, a .safetensors file, or hf://owner/repository[/file].

        Raises WeightsRefused, with this detector untouched, when the file does not fit.
        """
        return load_weights(self, source)

    def _targets(self, output: DetectorOutput, targets: Sequence[ImageTargets]) -> tuple[FlatTargets, Tensor]:
        """Flat targets, and their boxes as cx, cy, w, h in units of the image."""
        num_images, _, num_prompts = output.class_logits_BNK.shape
        flat = flatten_targets(targets, num_images, num_prompts, like=output.boxes_BN4)
        return flat, box_convert(flat.boxes_O4, "xyxy", "cxcywh") / output.family["sides_4"]


def _edge_layers(detector: OmDetTurbo) -> list[str]:
    """The first layers of images and of box coordinates; the last ones of boxes and of texts."""
    head = detector.head
    edges: list[nn.Module] = [detector.backbone.body.patch_embed.proj, head.query_position_head.layers[0]]
    edges += [head.encoder_class_head, *head.decoder_class_head]
    edges += [branch.layers[-1] for branch in (head.encoder_bbox_head, *head.decoder_bbox_head)]
    return [name for name, module in detector.named_modules() if any(module is edge for edge in edges)]
