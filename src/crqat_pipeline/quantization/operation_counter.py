"""Count multiply-accumulates by module, from shapes only.

MACs are those of matrix products and convolutions, as the CR-QAT paper counts them; element-wise work is left out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from crqat_pipeline.quantization.shape_trace import run_on_shapes


class OperationCounter(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts of one pass, by module name.

    macs: of products run by the module itself. elements_read: of its input tensors. input_shape: of its first one.
    """

    def __init__(self, detector: nn.Module) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.macs: Counter[str] = Counter()
        self.elements_read: Counter[str] = Counter()
        self.input_shape: dict[str, tuple[int, ...]] = {}
        self._stack = [""]
        self._detector = detector

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        count_flops = flop_registry.get(getattr(func, "overloadpacket", func))
        if count_flops is not None:
            self.macs[self._stack[-1]] += count_flops(*args, **(kwargs or {}), out_val=out) // 2
        return out

    def count(self, image_size_px: int, num_prompts: int) -> None:
        """Run the detector once on the shapes of one image and these prompts."""
        handles = []
        for name, module in self._detector.named_modules():
            handles.append(module.register_forward_pre_hook(self._entering(name)))
            handles.append(module.register_forward_hook(self._leave))
        try:
            with self:
                run_on_shapes(self._detector, image_size_px, num_prompts)
        finally:
            for handle in handles:
                handle.remove()

    def _entering(self, name: str) -> Callable[[nn.Module, tuple[Any, ...]], None]:
        def enter(module: nn.Module, inputs: tuple[Any, ...]) -> None:
            self._stack.append(name)
            tensors = [value for value in inputs if isinstance(value, Tensor)]
            self.elements_read[name] += sum(tensor.numel() for tensor in tensors)
            if tensors:
                self.input_shape[name] = tuple(tensors[0].shape)

        return enter

    def _leave(self, module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        self._stack.pop()
