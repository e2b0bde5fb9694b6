"""Which layers feed a layer: found by running the detector on shapes, not by names."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves

from crqat_pipeline.quantization.shape_trace import run_on_shapes, traced_side
from crqat_pipeline.quantization.swap import kind_of
from crqat_pipeline.structures.quantization_contract import contract_of


def feeding_layers(detector: nn.Module) -> dict[str, frozenset[str]]:
    """Layer or product -> those whose results reach its first input through other operations alone.

    Normalization, activation functions, pooling, addition, concatenation and reshaping are such operations. Layers that
    read the image or the text itself have none.
    """
    trace = _Trace()
    names = {name: module for name, module in detector.named_modules() if kind_of(module)}
    handles = [module.register_forward_pre_hook(trace.entering(name)) for name, module in names.items()]
    handles += [module.register_forward_hook(trace.leaving(name)) for name, module in names.items()]
    try:
        with trace:
            run_on_shapes(detector, traced_side(contract_of(detector).size_divisor), num_prompts=2)
    finally:
        for handle in handles:
            handle.remove()
    return {name: trace.feeding.get(name, frozenset()) for name in names}


class _Trace(TorchFunctionMode):
    """Hands the names of layers on from the inputs of every operation to its results."""

    def __init__(self) -> None:
        super().__init__()
        self.feeding: dict[str, frozenset[str]] = {}
        self._sources: dict[int, frozenset[str]] = {}
        self._kept: list[Tensor] = []  # keeps results alive, so that their ids stay unique

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        sources = frozenset().union(*(self._of(tensor) for tensor in _tensors((args, kwargs))))
        written = result if result is not None else args[:1]  # x[...] = y returns nothing
        self._mark(written, sources)
        return result

    def entering(self, name: str) -> Callable[[nn.Module, tuple[Any, ...]], None]:
        def enter(module: nn.Module, inputs: tuple[Any, ...]) -> None:
            first = next(_tensors(inputs), None)
            known = self.feeding.get(name, frozenset())
            self.feeding[name] = known if first is None else known | self._of(first)

        return enter

    def leaving(self, name: str) -> Callable[[nn.Module, tuple[Any, ...], Any], None]:
        def leave(module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
            self._mark(output, frozenset([name]))

        return leave

    def _of(self, tensor: Tensor) -> frozenset[str]:
        return self._sources.get(id(tensor), frozenset())

    def _mark(self, results: Any, sources: frozenset[str]) -> None:
        for tensor in _tensors(results):
            self._sources[id(tensor)] = sources
            self._kept.append(tensor)


def _tensors(values: Any) -> Iterator[Tensor]:
    return (value for value in tree_leaves(values) if isinstance(value, Tensor))
