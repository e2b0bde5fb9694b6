"""Run a detector on shapes alone: no weights are read, nothing is computed, nothing of the detector changes."""

from __future__ import annotations

import torch
from torch import nn
from torch.func import functional_call

from crqat_pipeline.quantization.modes import eval_mode, switched_off
from crqat_pipeline.quantization.parts import quantizers
from crqat_pipeline.structures.quantization_contract import contract_of


def run_on_shapes(detector: nn.Module, image_size_px: int, num_prompts: int, num_images: int = 1) -> None:
    """One forward pass on the meta device, in eval mode and with all quantizers off; hooks see every module call."""
    state = {
        name: torch.empty_like(tensor, device="meta")
        for name, tensor in (*detector.named_parameters(), *detector.named_buffers())
    }
    inputs = contract_of(detector).example_inputs(num_images, image_size_px, num_prompts)
    resting = (quantizer for _, quantizer in quantizers(detector))
    with eval_mode(detector), switched_off(resting), torch.no_grad():
        functional_call(detector, state, inputs)


def followers(detector: nn.Module) -> dict[nn.Module, nn.BatchNorm2d]:
    """For every convolution, the BatchNorm that alone reads its output (found by running on shapes)."""
    producers: dict[int, nn.Module] = {}
    kept: list[torch.Tensor] = []  # keeps outputs alive, so that their ids stay unique
    pairs: dict[nn.Module, nn.BatchNorm2d] = {}
    refused: set[nn.Module] = set()

    def remember(module: nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        producers[id(output)] = module
        kept.append(output)

    def pair(module: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        producer = producers.get(id(inputs[0]))
        if producer is None or not isinstance(module, nn.BatchNorm2d):
            return
        if pairs.setdefault(producer, module) is not module:
            refused.add(producer)

    handles = []
    for module in detector.modules():
        if isinstance(module, nn.Conv2d):
            handles.append(module.register_forward_hook(remember))
        elif isinstance(module, nn.BatchNorm2d):
            handles.append(module.register_forward_pre_hook(pair))
    try:
        run_on_shapes(detector, traced_side(contract_of(detector).size_divisor), num_prompts=2)
    finally:
        for handle in handles:
            handle.remove()
    return {conv: batch_norm for conv, batch_norm in pairs.items() if conv not in refused}


def traced_side(size_divisor: int) -> int:
    """Side of a small square image in pixels: two cells of the coarsest map.

    At least 64 px, since models without a divisor may shrink their input 32 times.
    """
    return 2 * size_divisor * max(1, -(-64 // (2 * size_divisor)))
