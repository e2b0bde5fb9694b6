"""The smallest open-vocabulary detector: one map of 4-pixel cells, one gated block, cosine scores.

Shape letters: B images, 3 RGB, H W pixels, C channels, K prompts, D embedding, N regions (cells), M heads.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from crqat_pipeline.detectors.common.selection import SelectionSpec
from crqat_pipeline.detectors.common.similarity import RegionTextSimilarity
from crqat_pipeline.detectors.family import DetectorFamily
from crqat_pipeline.detectors.protocol import OpenVocabularyDetector
from crqat_pipeline.runtime.ranks import share_of_ranks
from crqat_pipeline.structures.batch import ImageTargets
from crqat_pipeline.structures.output import DetectorOutput, PositiveRegions
from crqat_pipeline.structures.quantization_contract import ProductOperands

CELL_PX = 4


class ToyProduct(nn.Module):
    """Product of each cell with each guide, per head; an attention product of the protocol."""

    product_operands = ProductOperands({"map_operand": 1, "guide_operand": 1})

    def __init__(self) -> None:
        super().__init__()
        self.map_operand: nn.Module = nn.Identity()
        self.guide_operand: nn.Module = nn.Identity()

    def forward(self, map_BMCN: Tensor, guide_XMKC: Tensor) -> Tensor:
        return torch.matmul(self.guide_operand(guide_XMKC), self.map_operand(map_BMCN)).amax(dim=2)


class ToyBackbone(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, 2, 1, bias=False)
        self.stem_norm = nn.BatchNorm2d(8)
        self.conv = nn.Conv2d(8, 12, 3, 2, 1, bias=False)
        self.norm = nn.BatchNorm2d(12)

    def forward(self, images_B3HW: Tensor) -> Tensor:
        map_BCHW = functional.silu(self.stem_norm(self.stem(images_B3HW)))
        return functional.silu(self.norm(self.conv(map_BCHW)))


class ToyNeck(nn.Module):
    def __init__(self, embedding_dim: int) -> None:
        super().__init__()
        self.mix = nn.Conv2d(12, 12, 1, groups=3)
        self.guide = nn.Linear(embedding_dim, 12)
        self.product = ToyProduct()

    def forward(self, map_BCHW: Tensor, text_XKD: Tensor) -> Tensor:
        mixed_BCHW = self.mix(map_BCHW)
        heads_BMCN = mixed_BCHW.flatten(2).unflatten(1, (3, 4))
        guide_XMKC = self.guide(text_XKD).unflatten(2, (3, 4)).transpose(1, 2)
        gate_BM1N = self.product(heads_BMCN, guide_XMKC).sigmoid().unsqueeze(2)
        return (heads_BMCN * gate_BM1N).flatten(1, 2).unflatten(2, map_BCHW.shape[2:])


class ToyHead(nn.Module):
    def __init__(self, embedding_dim: int) -> None:
        super().__init__()
        self.hidden = nn.Conv2d(12, 16, 3, padding=1, bias=False)
        self.hidden_norm = nn.BatchNorm2d(16)
        self.embed = nn.Conv2d(16, embedding_dim, 1)
        self.box = nn.Conv2d(16, 4, 1)
        self.similarity = RegionTextSimilarity()

    def forward(self, map_BCHW: Tensor) -> tuple[Tensor, Tensor]:
        hidden_BCHW = functional.silu(self.hidden_norm(self.hidden(map_BCHW)))
        return self.embed(hidden_BCHW).flatten(2).mT, self.box(hidden_BCHW).flatten(2).mT


class ToyDetector(OpenVocabularyDetector):
    """Cell n predicts a box around its center; the positive of an object is the cell that holds its center."""

    backbone_feature_names = ("c",)
    neck_feature_names = ("n",)
    loss_names = ("loss_class", "loss_box")

    def __init__(self, embedding_dim: int = 6) -> None:
        super().__init__()
        self.backbone, self.neck, self.head = ToyBackbone(), ToyNeck(embedding_dim), ToyHead(embedding_dim)
        self.parts = {"backbone": ("backbone",), "neck": ("neck",), "head": ("head",)}
        self.edge_layers = ("backbone.stem", "head.embed", "head.box")
        self.embedding_dim, self.size_divisor = embedding_dim, CELL_PX
        self.selection = SelectionSpec()

    def backbone_features(self, images_B3HW: Tensor) -> dict[str, Tensor]:
        return {"c": self.backbone(images_B3HW)}

    def forward(self, images_B3HW: Tensor, text_embeddings: Tensor, *, return_features: bool = False) -> DetectorOutput:
        text_XKD = text_embeddings if text_embeddings.ndim == 3 else text_embeddings.unsqueeze(0)
        features = self.backbone_features(images_B3HW)
        features["n"] = self.neck(features["c"], text_XKD)
        embeddings_BND, sides_BN4 = self.head(features["n"])
        height, width = features["n"].shape[2:]
        rows = torch.arange(height, device=images_B3HW.device).repeat_interleave(width)
        columns = torch.arange(width, device=images_B3HW.device).repeat(height)
        centers_N2 = (torch.stack([columns, rows], dim=1) + 0.5) * CELL_PX
        half_BN4 = functional.softplus(sides_BN4) * CELL_PX
        boxes_BN4 = torch.cat([centers_N2 - half_BN4[..., :2], centers_N2 + half_BN4[..., 2:]], dim=2)
        unit_BDN = functional.normalize(embeddings_BND, dim=2).mT
        logits_BNK = 5.0 * self.head.similarity(unit_BDN, functional.normalize(text_XKD, dim=2))
        return DetectorOutput(
            logits_BNK,
            boxes_BN4,
            embeddings_BND,
            text_embeddings,
            features if return_features else {},
            family={"grid": torch.tensor([height, width])},
        )

    def assign(self, output: DetectorOutput, targets: Sequence[ImageTargets]) -> PositiveRegions:
        height, width = output.family["grid"].tolist()
        columns: list[list[int]] = [[], [], [], []]
        for image, target in enumerate(targets):
            for index, (box_4, label) in enumerate(
                zip(target.boxes_M4.tolist(), target.labels_M.tolist(), strict=True)
            ):
                column = min(int((box_4[0] + box_4[2]) / 2 / CELL_PX), width - 1)
                row = min(int((box_4[1] + box_4[3]) / 2 / CELL_PX), height - 1)
                for values, value in zip(columns, (image, row * width + column, label, index), strict=True):
                    values.append(value)
        indices = [torch.tensor(values, dtype=torch.int64) for values in columns]
        return PositiveRegions(*indices, score_P=torch.ones(len(columns[0])))

    def loss(self, output: DetectorOutput, targets: Sequence[ImageTargets]) -> dict[str, Tensor]:
        positives = self.assign(output, targets)
        wanted_BNK = torch.zeros_like(output.class_logits_BNK)
        wanted_BNK[positives.image_P, positives.region_P, positives.prompt_P] = 1.0
        class_loss = functional.binary_cross_entropy_with_logits(output.class_logits_BNK, wanted_BNK)
        class_loss = class_loss * share_of_ranks(len(targets), like=class_loss)
        share = share_of_ranks(positives.image_P.numel(), like=class_loss)
        if positives.image_P.numel() == 0:
            return {"loss_class": class_loss, "loss_box": output.boxes_BN4.sum() * 0.0}
        objects = zip(positives.image_P.tolist(), positives.object_P.tolist(), strict=True)
        boxes_P4 = torch.stack([targets[image].boxes_M4[index] for image, index in objects])
        found_P4 = output.boxes_BN4[positives.image_P, positives.region_P]
        return {"loss_class": class_loss, "loss_box": 0.01 * share * functional.smooth_l1_loss(found_P4, boxes_P4)}

    def level_strides(self) -> tuple[int, ...]:
        return (CELL_PX,)


TOY_FAMILY = DetectorFamily("toy", {"toy": ToyDetector}, tested=(("toy", {}), ("toy", {"embedding_dim": 9})))


def toy_inputs(num_images: int = 2, num_prompts: int = 5, seed: int = 0) -> tuple[Tensor, Tensor]:
    """(images (B, 3, 16, 24), text embeddings (K, 6)) that fit ToyDetector."""
    generator = torch.Generator().manual_seed(seed)
    images_B3HW = torch.rand(num_images, 3, 16, 24, generator=generator)
    return images_B3HW, torch.randn(num_prompts, 6, generator=generator)
