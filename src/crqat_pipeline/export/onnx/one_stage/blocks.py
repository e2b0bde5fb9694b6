"""Emitters of the convolutional blocks of YOLO-World.

Shape letters: B images, C channels, H W pixels of a feature map.
"""

from __future__ import annotations

from torch import nn

from crqat_pipeline.detectors.one_stage.backbone import Backbone, Stage
from crqat_pipeline.detectors.one_stage.blocks import Bottleneck, ConvUnit, CspBlock, PyramidPooling
from crqat_pipeline.export.onnx.convolution import convolve
from crqat_pipeline.export.onnx.emission import Emission
from crqat_pipeline.export.onnx.feature_map import FeatureMap, Joined, Plain, Pooled
from crqat_pipeline.export.onnx.graph import MICROSOFT


def conv_unit(emission: Emission, unit: ConvUnit, feature: FeatureMap) -> Plain:
    """Convolution, BatchNorm, activation."""
    return activated(emission, unit, convolve(emission, unit.conv, unit.bn, feature))


def activated(emission: Emission, unit: ConvUnit, y: str) -> Plain:
    """What comes out of the unit's BatchNorm, after its activation function."""
    if isinstance(unit.act, nn.Identity):
        return Plain(y)
    if not isinstance(unit.act, nn.SiLU):
        raise ValueError(
            f"ONNX export knows SiLU and no activation; got {type(unit.act).__name__} in {emission.name(unit)!r}. "
            "Add it to export/onnx/yolo_world/blocks.py."
        )
    return Plain(silu(emission, y, emission.name(unit.act)))


def silu(emission: Emission, tensor: str, name: str) -> str:
    """x * sigmoid(x); onnxruntime has one operator for it, which halves its time."""
    if emission.form.uses_contrib_ops:
        return emission.graph.node("QuickGelu", tensor, name=name, domain=MICROSOFT, alpha=1.0)
    return emission.graph.node("Mul", tensor, emission.graph.node("Sigmoid", tensor, name=name), name=name)


def bottleneck(emission: Emission, block: Bottleneck, feature: FeatureMap) -> Plain:
    result: Plain = emission.emit(block.second, emission.emit(block.first, feature))
    if not block.has_shortcut:
        return result
    inputs = (emission.floats(feature), emission.floats(result))
    return Plain(emission.graph.node("Add", *inputs, name=emission.name(block)))


def branches(emission: Emission, block: CspBlock, feature: FeatureMap) -> list[FeatureMap]:
    """The two halves of the entry, then the output of each bottleneck."""
    entry = emission.floats(emission.emit(block.entry, feature))
    sizes = emission.graph.integers(block.hidden, block.hidden)
    halves = emission.graph.nodes("Split", entry, sizes, name=emission.name(block), num_outputs=2, axis=1)
    collected: list[FeatureMap] = [Plain(half) for half in halves]
    for inner in block.bottlenecks:
        collected.append(emission.emit(inner, collected[-1]))
    return collected


def csp_block(emission: Emission, block: CspBlock, feature: FeatureMap) -> Plain:
    result: Plain = emission.emit(block.exit, Joined(tuple(branches(emission, block, feature))))
    return result


def pyramid_pooling(emission: Emission, block: PyramidPooling, feature: FeatureMap) -> Plain:
    maps: list[FeatureMap] = [emission.emit(block.entry, feature)]
    for _ in range(3):
        maps.append(Pooled(maps[-1], _side(block.pool.kernel_size), _side(block.pool.padding)))
    result: Plain = emission.emit(block.exit, Joined(tuple(maps)))
    return result


def stage(emission: Emission, block: Stage, feature: FeatureMap) -> Plain:
    result: Plain = emission.emit(block.csp, emission.emit(block.down, feature))
    return result


def backbone(emission: Emission, block: Backbone, images: FeatureMap) -> dict[str, FeatureMap]:
    """c3, c4, c5."""
    c3 = emission.emit(block.stage2, emission.emit(block.stage1, emission.emit(block.stem, images)))
    c4 = emission.emit(block.stage3, c3)
    c5 = emission.emit(block.pooling, emission.emit(block.stage4, c4))
    return {"c3": c3, "c4": c4, "c5": c5}


def _side(length: int | tuple[int, ...]) -> int:
    return length if isinstance(length, int) else length[0]
