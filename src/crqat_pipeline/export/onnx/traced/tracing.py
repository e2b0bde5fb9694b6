"""A detector as a graph of core ATen operators, made by torch.export.

Shape letters: B images, 3 RGB, H W pixels, K prompts, D embedding, N regions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.export import Dim, ExportedProgram
from torch.fx.experimental.symbolic_shapes import is_concrete_int

from crqat_pipeline.detectors.protocol import OpenVocabularyDetector
from crqat_pipeline.export.onnx.traced.marks import marked_copy

LEAST_SIDE_PX = 64
NUM_IMAGES, NUM_PROMPTS = 2, 7
NEVER_DECOMPOSED = (
    torch.ops.aten.upsample_nearest2d.vec,
    torch.ops.aten.upsample_bilinear2d.vec,
    torch.ops.aten.grid_sampler_2d.default,
    torch.ops.aten.gelu.default,
)


@dataclass(frozen=True)
class Sizes:
    """What is fixed about the inputs; None where it is free."""

    batch_size: int | None = None
    image_size_px: tuple[int, int] | None = None
    num_prompts: int | None = None


@dataclass(frozen=True)
class Trace:
    """graph: inputs are stored tensors and the two of the detector. stored: the tensors, by name of their node.

    images, text: nodes of the inputs. free: names of the dimensions that stayed free, of batch, height, width, prompts.
    """

    graph: fx.Graph
    stored: Mapping[str, Tensor]
    images: str
    text: str
    free: frozenset[str]


class _Outputs(nn.Module):
    def __init__(self, detector: nn.Module) -> None:
        super().__init__()
        self.detector = detector

    def forward(self, images_B3HW: Tensor, text_KD: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        output = self.detector(images_B3HW, text_KD)
        return output.class_logits_BNK, output.boxes_BN4, output.region_embeddings_BND


@torch.no_grad()
def trace(detector: OpenVocabularyDetector, sizes: Sizes, *, is_quantized: bool) -> Trace:
    """The graph of (images, text embeddings) -> (class logits, boxes, region embeddings).

    Dimensions that the detector's own code ties to a number come out fixed. Works on the meta device. Raises ValueError
    with what torch.export said for a detector that it cannot trace.
    """
    wrapper = _Outputs(marked_copy(detector, is_quantized=is_quantized)).eval()
    device = next(detector.parameters()).device
    divisor = detector.size_divisor
    height, width = sizes.image_size_px or smallest_px(divisor)
    images = torch.rand(sizes.batch_size or NUM_IMAGES, 3, height, width, device=device)
    text = torch.randn(sizes.num_prompts or NUM_PROMPTS, detector.embedding_dim, device=device)
    faults: list[str] = []
    for dimensions in _wishes(sizes, divisor):
        try:
            program = torch.export.export(wrapper, (images, text), dynamic_shapes=dimensions, strict=False)
            table = torch.export.default_decompositions()
            for operator in NEVER_DECOMPOSED:
                table.pop(operator, None)  # type: ignore[no-untyped-call]
            return _read(program.run_decompositions(table))
        except Exception as error:  # torch.export raises whatever the detector's code or its own raises
            faults.append(f"{type(error).__name__}: {' '.join(str(error).split())[:300]}")
    raise ValueError(
        f"ONNX graphs of detectors without emitters are traced by torch.export; {type(detector).__name__} cannot be: "
        f"{faults[-1]} Write its forward pass without branches on values, or add emitters (docs/formats/onnx.md)."
    )


def smallest_px(divisor: int) -> tuple[int, int]:
    """Height and width, not the same, in which a trace shows every operator."""
    cells = max(2, -(-LEAST_SIDE_PX // divisor))
    return cells * divisor, (cells + 1) * divisor


def _wishes(sizes: Sizes, divisor: int) -> list[Any]:
    """What may be free, the best first: sides in multiples of the divisor, sides as torch.export finds, fixed sides."""
    batch = {} if sizes.batch_size else {0: Dim.AUTO}
    text = {} if sizes.num_prompts else {0: Dim.AUTO}
    if sizes.image_size_px:
        return [(batch, text)] if sizes.batch_size else [(batch, text), ({}, text)]
    multiples = {2: divisor * Dim("rows", min=1, max=4096), 3: divisor * Dim("columns", min=1, max=4096)}
    return [
        ({**batch, **multiples}, text),
        ({**batch, 2: Dim.AUTO, 3: Dim.AUTO}, text),
        (batch, text),
        ({}, text),
    ]


def _read(program: ExportedProgram) -> Trace:
    signature = program.graph_signature
    names = {
        **signature.inputs_to_parameters,
        **signature.inputs_to_buffers,
        **signature.inputs_to_lifted_tensor_constants,
    }
    held = {**program.constants, **program.state_dict}
    nodes = {node.name: node for node in program.graph.nodes if node.op == "placeholder"}
    images, text = signature.user_inputs
    assert isinstance(images, str)
    assert isinstance(text, str)
    places = {"batch": (images, 0), "height": (images, 2), "width": (images, 3), "prompts": (text, 0)}
    free = {label for label, (name, axis) in places.items() if not is_concrete_int(nodes[name].meta["val"].shape[axis])}
    stored = {node: held[name] for node, name in names.items()}
    return Trace(program.graph, stored, images, text, frozenset(free))
