"""A predictor behind detectron2's model interface: its input dicts in, its Instances out.

Shape letters: C channels, H W pixels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from detectron2.config import CfgNode, LazyCall
from detectron2.modeling import META_ARCH_REGISTRY
from detectron2.structures import Boxes, Instances
from torch import Tensor, nn

from crqat_pipeline.inference.predictor import Predictor

META_ARCHITECTURE = "CrqatDetector"
ChannelOrder = Literal["BGR", "RGB"]


class Detectron2Model(nn.Module):
    """Answers detectron2's input dicts with whatever a Predictor runs: checkpoint, packed int4 or ONNX file.

    pred_classes are rows of the predictor's text bank for these prompts. Each image is letterboxed as the model was
    trained, from the size that it comes in, and boxes are scaled to `height` and `width` of its dict.
    """

    def __init__(
        self,
        predictor: Predictor,
        prompts: Sequence[str] | None = None,
        *,
        score_threshold: float = 0.001,
        max_detections: int = 100,
        channel_order: ChannelOrder = "BGR",
    ) -> None:
        """prompts: None for those that came with the model. Raises ValueError for prompts that cannot be encoded."""
        super().__init__()
        self._predictor, self._channel_order = predictor, channel_order
        self._score_threshold, self._max_detections = score_threshold, max_detections
        self.prompts = predictor.text_bank(prompts).prompts
        self.train(False)

    def forward(self, batched_inputs: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """One {"instances": Instances} per dict; dicts have `image`, (3, H, W) in 0...255, and the size to answer in.

        Raises ValueError in training mode: detectors of this project are trained by its own pipelines.
        """
        if self.training:
            raise ValueError("A model of this bridge answers and is not trained by detectron2. Call model.eval().")
        images = [self._as_array(one["image"]) for one in batched_inputs]
        found = self._predictor.predict(
            images,
            self.prompts,
            score_threshold=self._score_threshold,
            max_detections=self._max_detections,
            batch_size=len(images),
        )
        answers = []
        for one, image_HWC, detections in zip(batched_inputs, images, found, strict=True):
            given_height, given_width = image_HWC.shape[:2]
            height, width = int(one.get("height", given_height)), int(one.get("width", given_width))
            boxes = Boxes(detections.boxes_M4.clone())
            boxes.scale(width / given_width, height / given_height)
            boxes.clip((height, width))
            instances = Instances(
                (height, width), pred_boxes=boxes, scores=detections.scores_M, pred_classes=detections.labels_M
            )
            answers.append({"instances": instances[boxes.nonempty()]})
        return answers

    def _as_array(self, image_CHW: Tensor) -> Any:
        ordered_CHW = image_CHW.flip(0) if self._channel_order == "BGR" else image_CHW
        return ordered_CHW.round().clamp(0, 255).to(torch.uint8).permute(1, 2, 0).cpu().contiguous().numpy()


def open_for_detectron2(
    file: str, prompts: Sequence[str] | None = None, device: str = "cpu", vocabulary: str | None = None, **options: Any
) -> Detectron2Model:
    """The model of a file that `crqat detect` takes. vocabulary: a text bank file, for prompts that the model has not.

    options: keywords of Detectron2Model. Raises ValueError for a file that cannot be read.
    """
    banks = {Path(vocabulary).stem: Path(vocabulary)} if vocabulary else None
    return Detectron2Model(Predictor.load(file, device=device, vocabularies=banks), prompts, **options)


def add_crqat_config(cfg: CfgNode) -> None:
    """Add MODEL.CRQAT with its defaults, and choose the meta-architecture of this bridge.

    FILE: of the model. VOCABULARY: a text bank file or "". PROMPTS: [] for those that came with the model.
    """
    cfg.MODEL.META_ARCHITECTURE = META_ARCHITECTURE
    cfg.MODEL.CRQAT = CfgNode({"FILE": "", "VOCABULARY": "", "PROMPTS": [], "SCORE_THRESHOLD": 0.001})


def lazy_model(file: str, **options: Any) -> Any:
    """The node `model` of a LazyConfig; options are keywords of open_for_detectron2."""
    return LazyCall(open_for_detectron2)(file=file, **options)


def _from_config(cfg: CfgNode) -> Detectron2Model:
    ours = cfg.MODEL.CRQAT
    return open_for_detectron2(
        ours.FILE,
        list(ours.PROMPTS) or None,
        cfg.MODEL.DEVICE,
        ours.VOCABULARY or None,
        score_threshold=ours.SCORE_THRESHOLD,
        max_detections=cfg.TEST.DETECTIONS_PER_IMAGE,
        channel_order=cfg.INPUT.FORMAT,
    )


_from_config.__name__ = META_ARCHITECTURE
META_ARCH_REGISTRY.register(_from_config)
