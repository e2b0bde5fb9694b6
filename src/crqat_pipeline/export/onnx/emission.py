"""One graph being written for one detector: which module is called what, and who writes it.

Shape letters: B images, C channels, O output channels, H W pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple

import numpy as np
from torch import Tensor, nn

from crqat_pipeline.export.onnx.code_grid import CodeGrid, grid_of
from crqat_pipeline.export.onnx.feature_map import Doubled, FeatureMap, Joined, Plain, Pooled
from crqat_pipeline.export.onnx.form_table import Form
from crqat_pipeline.export.onnx.graph import OnnxGraph
from crqat_pipeline.model_files.onnx_facts import key_of_call
from crqat_pipeline.quantization.fake_quantizer import FakeQuantizer

Emitter = Callable[..., Any]


class Tap(NamedTuple):
    """Where a file holds what a quantizer computes. kind: "codes" (from 0), "centered" (minus zero point), "values"."""

    tensor: str
    kind: Literal["codes", "centered", "values"]


class WeightGrid(NamedTuple):
    """Signed codes times scale_O give the stored weight."""

    scale_O: Tensor
    bits: int


class Emission:
    """Walks a detector; `emitters` maps a module class to the function (emission, module, *inputs) that writes it.

    taps: where parity checks find codes, by quantizer. wide_layers: integer layers whose pairs of products may leave
    16 bits, which old CPUs saturate; has_unsigned_weights: write these so that they do not. ranges, weight_grids: of a
    form with ranges, the grid of each clipped tensor, and the scale per output channel and bits of each stored weight.
    """

    def __init__(
        self,
        graph: OnnxGraph,
        form: Form,
        detector: nn.Module,
        emitters: Mapping[type[nn.Module], Emitter],
        *,
        wants_embeddings: bool = True,
        has_unsigned_weights: bool = False,
    ) -> None:
        self.graph, self.form, self._emitters = graph, form, emitters
        self.wants_embeddings = wants_embeddings
        self.has_unsigned_weights = has_unsigned_weights
        self.wide_layers: list[str] = []
        self._detector = detector
        self._names = {module: name for name, module in detector.named_modules()}
        self._made: dict[Any, str] = {}
        self.taps: dict[str, Tap] = {}
        self.ranges: dict[str, CodeGrid] = {}
        self.weight_grids: dict[str, WeightGrid] = {}

    def name(self, module: nn.Module) -> str:
        """The module's name in the detector, such as "neck.td_p4.exit.conv"."""
        name: str = self._names[module]
        return name

    def module(self, name: str) -> nn.Module:
        """The module of the detector under this name."""
        return self._detector.get_submodule(name)

    def emit(self, module: nn.Module, *inputs: Any) -> Any:
        """Write the module's nodes. Raises ValueError for a class that no emitter knows."""
        for kind in type(module).__mro__:
            if kind in self._emitters:
                return self._emitters[kind](self, module, *inputs)
        known = ", ".join(sorted(kind.__name__ for kind in self._emitters))
        raise ValueError(
            f"No ONNX emitter for {type(module).__name__} ({self.name(module)!r}); there are emitters for {known}. "
            "Add one to EMITTERS in export/onnx/table.py (docs/formats/onnx.md says how)."
        )

    def tap(
        self, quantizer: nn.Module, tensor: str, kind: Literal["codes", "centered", "values"], call: int = 0
    ) -> None:
        """Remember where the output of a quantizer is, for parity checks; call: which one of its forward pass."""
        self.taps[key_of_call(self.name(quantizer), call)] = Tap(tensor, kind)

    def floats(self, feature: FeatureMap) -> str:
        """The feature map as a float tensor, written once."""
        if isinstance(feature, Plain):
            return feature.tensor
        return self._once(("floats", feature), lambda: self._combine(feature, self.floats, "float"))

    def codes(self, feature: FeatureMap, grid: CodeGrid) -> str:
        """The feature map on a grid, as uint8 codes, written once; parts are rounded before they are moved."""
        if isinstance(feature, Plain):
            return self._once(("codes", feature, grid), lambda: self.quantized(feature.tensor, grid))
        return self._once(
            ("codes", feature, grid), lambda: self._combine(feature, lambda part: self.codes(part, grid), "codes")
        )

    def quantized(self, tensor: str, grid: CodeGrid) -> str:
        """uint8 codes of a float tensor; a Clip keeps grids of fewer than 8 bits."""
        scale, zero_point = self.graph.scalar(grid.scale), self.graph.scalar(grid.zero_point, np.uint8)
        codes = self.graph.node("QuantizeLinear", tensor, scale, zero_point, name=tensor)
        if grid.max_code == 255:
            return codes
        low, high = self.graph.scalar(0, np.uint8), self.graph.scalar(grid.max_code, np.uint8)
        return self.graph.node("Clip", codes, low, high, name=tensor)

    def dequantized(self, codes: str, grid: CodeGrid) -> str:
        scale, zero_point = self.graph.scalar(grid.scale), self.graph.scalar(grid.zero_point, np.uint8)
        return self.graph.node("DequantizeLinear", codes, scale, zero_point, name=codes)

    def on_grid(self, quantizer: FakeQuantizer, feature: FeatureMap, call: int = 0) -> str:
        """The float values of a feature map after a per-tensor quantizer, in the way of this form."""
        grid = grid_of(quantizer)
        if self.form.has_byte_activations:
            codes = self.codes(feature, grid)
            self.tap(quantizer, codes, "codes", call)
            return self.dequantized(codes, grid)
        values = self._written_on_grid(self.floats(feature), grid)
        self.tap(quantizer, values, "values", call)
        return values

    def rounded(self, tensor: str, grid: CodeGrid) -> str:
        """The values on the grid by floating-point operators, which no runtime fuses into the layer before."""
        graph, scale = self.graph, self.graph.scalar(grid.scale)
        low, high = float(-grid.zero_point), float(grid.max_code - grid.zero_point)
        steps = graph.node("Round", graph.node("Div", tensor, scale, name=tensor), name=tensor)
        kept = graph.node("Clip", steps, graph.scalar(low), graph.scalar(high), name=tensor)
        return graph.node("Mul", kept, scale, name=tensor)

    def _written_on_grid(self, tensor: str, grid: CodeGrid) -> str:
        if self.form.is_ranged and self.ranges.get(tensor) == grid:
            return tensor  # lies on this grid: readers drop a second rounding, or count it as missing
        if self.form.is_ranged:
            return self._once(("ranged", tensor, grid), lambda: self._clipped(tensor, grid))
        return self._on_symmetric_grid(tensor, grid) if self.form.is_symmetric else self._on_standard_grid(tensor, grid)

    def _clipped(self, tensor: str, grid: CodeGrid) -> str:
        values = self.graph.node("Clip", tensor, *map(self.graph.scalar, grid.ends), name=tensor)
        self.ranges[values] = grid
        return values

    def _on_standard_grid(self, tensor: str, grid: CodeGrid) -> str:
        if grid.max_code != 15:
            return self.dequantized(self.quantized(tensor, grid), grid)
        scale, zero_point = self.graph.scalar(grid.scale), self.graph.uint4_scalar(grid.zero_point)
        codes = self.graph.node("QuantizeLinear", tensor, scale, zero_point, name=tensor)
        return self.graph.node("DequantizeLinear", codes, scale, zero_point, name=tensor)

    def _on_symmetric_grid(self, tensor: str, grid: CodeGrid) -> str:
        """int8 codes with zero point 0, clipped as floats; grids that int8 does not hold are rounded as floats."""
        graph, low, high = self.graph, -grid.zero_point, grid.max_code - grid.zero_point
        scale = graph.scalar(grid.scale)
        if low >= -128 and high <= 127:
            clipped = graph.node("Clip", tensor, *map(graph.scalar, grid.ends), name=tensor)
            zero = graph.scalar(0, np.int8)
            codes = graph.node("QuantizeLinear", clipped, scale, zero, name=tensor)
            return graph.node("DequantizeLinear", codes, scale, zero, name=tensor)
        return self.rounded(tensor, grid)

    def _once(self, key: Any, make: Callable[[], str]) -> str:
        if key not in self._made:
            self._made[key] = make()
        return self._made[key]

    def _combine(self, feature: FeatureMap, values: Callable[[FeatureMap], str], kind: str) -> str:
        graph = self.graph
        if isinstance(feature, Joined):
            return graph.node("Concat", *map(values, feature.parts), name=kind, axis=1)
        if isinstance(feature, Pooled):
            sides = [feature.kernel] * 2
            pads = [feature.padding] * 4
            return graph.node("MaxPool", values(feature.source), name=kind, kernel_shape=sides, pads=pads)
        assert isinstance(feature, Doubled)
        factors = graph.once_constant("double", np.asarray([1, 1, 2, 2], dtype=np.float32))
        return graph.node(
            "Resize",
            values(feature.source),
            "",
            factors,
            name=kind,
            mode="nearest",
            coordinate_transformation_mode="asymmetric",
            nearest_mode="floor",
        )
