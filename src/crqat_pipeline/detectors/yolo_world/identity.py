"""Tell from the keys and shapes of a file which YOLO-World it holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from crqat_pipeline.detectors.weights import WeightsRefused
from crqat_pipeline.detectors.yolo_world.key_layouts import KEY_LAYOUTS, KeyLayout
from crqat_pipeline.detectors.yolo_world.sizes import SIZES
from crqat_pipeline.detectors.yolo_world.spec import YoloWorldSpec


@dataclass(frozen=True)
class Identity:
    """size: a row of the table, or None when the widths match none (described by `widths`)."""

    layout: KeyLayout
    version: int
    size: str | None
    widths: tuple[int, int]
    embedding_dim: int

    def __str__(self) -> str:
        stem, stage1 = self.widths
        size = self.size or f"a YOLO-World of no known size (stem {stem}, stage 1 {stage1} channels)"
        return f"{size}, version {self.version}, {self.embedding_dim}-d text, {self.layout.name} keys"


def identify(tensors: Mapping[str, Tensor], file_name: str) -> Identity:
    """Format by its stem's key, version by the text enhancer, size by the first two widths.

    Raises WeightsRefused when the keys are of no known layout, or of a detector folded for a fixed vocabulary.
    """
    layout = next((layout for layout in KEY_LAYOUTS.values() if layout.stem_key in tensors), None)
    if layout is None:
        raise WeightsRefused(
            f"{file_name} is no YOLO-World file: none of the keys {', '.join(_stem_keys())} is in it; it starts with "
            f"{', '.join(list(tensors)[:3]) or 'nothing'}. Give an mmyolo .pth, an Ultralytics .pt, or crqat's own "
            "safetensors."
        )
    if any(".guide_convs." in key or ".cls_contrasts.0.conv." in key for key in tensors):
        raise WeightsRefused(
            f"{file_name} is folded for a fixed vocabulary (re-parameterised): its text side is gone. "
            "Load the original checkpoint."
        )
    enhancer = layout.foreign_key("neck.text_enhancer.query.1.weight", version=1)
    version = 1 if enhancer in tensors else 2
    guide = tensors.get(layout.foreign_key("neck.td_p4.gate.guide.weight", version))
    if guide is None or guide.ndim != 2:
        raise WeightsRefused(
            f"{file_name} has the backbone of {layout.name} files but no text gate; it may be a plain YOLOv8. "
            "Give a YOLO-World checkpoint."
        )
    stage1_key = layout.foreign_key("backbone.stage1.down.conv.weight", version)
    widths = (_out_channels(tensors, layout.stem_key), _out_channels(tensors, stage1_key))
    sizes = {widths_of(fields): size for size, fields in SIZES.items()}
    return Identity(layout, version, sizes.get(widths), widths, guide.shape[1])


def widths_of(fields: Mapping[str, Any]) -> tuple[int, int]:
    """Channels of the stem and the first stage of a row of SIZES."""
    return fields["stem_channels"], fields["stage_channels"][0]


def check_fits(identity: Identity, spec: YoloWorldSpec, file_name: str) -> None:
    """Raises WeightsRefused saying what the file is and what was expected."""
    expected_widths = (spec.stem_channels, spec.stage_channels[0])
    if (identity.widths, identity.version, identity.embedding_dim) != (
        expected_widths,
        spec.version,
        spec.embedding_dim,
    ):
        raise WeightsRefused(
            f"{file_name} is {identity}; this detector is version {spec.version} with stem {spec.stem_channels}, "
            f"stage 1 {spec.stage_channels[0]} channels and {spec.embedding_dim}-d text. "
            f"Build {identity.size or 'a detector of these widths'} with version={identity.version}, or choose "
            "another file."
        )


def _out_channels(tensors: Mapping[str, Tensor], key: str) -> int:
    return tensors[key].shape[0] if key in tensors and tensors[key].ndim == 4 else 0


def _stem_keys() -> list[str]:
    return [layout.stem_key for layout in KEY_LAYOUTS.values()]
