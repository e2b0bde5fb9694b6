"""BatchNorm over the whole batch while several workers have a part of it each, on any device.

PyTorch's own SyncBatchNorm refuses CPUs, and replaces modules that the project asks about by their type.

Shape letters: B images, C channels, H W cells.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from crqat_pipeline.quantization.layers import QuantBatchNorm2d
from crqat_pipeline.runtime.ranks import count_over_ranks, mean_over_ranks, num_ranks


@contextmanager
def synchronized_batch_norm(model: nn.Module) -> Iterator[None]:
    """Within the block BatchNorms in training mode use and keep the statistics of all workers' images.

    Raises ValueError for a normalization with live statistics that is no BatchNorm2d.
    """
    live = [(name, module) for name, module in model.named_modules() if _is_live(module)] if num_ranks() > 1 else []
    for name, module in live:
        if not isinstance(module, nn.BatchNorm2d):
            raise ValueError(
                "Live statistics of workers are those of the whole batch, and only BatchNorm2d is synchronized; "
                f"{name} is {type(module).__name__}. Freeze it (batch_norm: frozen), or train on one worker."
            )
    try:
        for _, module in live:
            module.forward = partial(_forward, module)
        yield
    finally:
        for _, module in live:
            del module.forward


def _is_live(module: nn.Module) -> bool:
    return isinstance(module, nn.modules.batchnorm._BatchNorm) and module.training and module.track_running_stats


def _forward(module: nn.BatchNorm2d, images_BCHW: Tensor) -> Tensor:
    if not module.training:
        return type(module).forward(module, images_BCHW)
    wide_BCHW = images_BCHW.float() if images_BCHW.dtype in (torch.bfloat16, torch.float16) else images_BCHW
    normed_BCHW, mean_C, variance_C = _Normalized.apply(wide_BCHW, module.eps)  # type: ignore[no-untyped-call]
    _follow(module, mean_C, variance_C, count_over_ranks(images_BCHW.numel() // images_BCHW.shape[1], like=mean_C))
    if module.affine:
        normed_BCHW = normed_BCHW * module.weight[:, None, None] + module.bias[:, None, None]
    normed_BCHW = normed_BCHW.to(images_BCHW.dtype)
    quantized = isinstance(module, QuantBatchNorm2d)
    result: Tensor = module.output_quantizer(normed_BCHW) if quantized else normed_BCHW  # type: ignore[operator]
    return result


@torch.no_grad()
def _follow(module: nn.BatchNorm2d, mean_C: Tensor, variance_C: Tensor, count: int | Tensor) -> None:
    """Move the running statistics as BatchNorm2d does: by the unbiased variance."""
    assert module.running_mean is not None
    assert module.running_var is not None
    assert module.num_batches_tracked is not None
    module.num_batches_tracked += 1
    momentum = 1.0 / float(module.num_batches_tracked) if module.momentum is None else module.momentum
    module.running_mean.lerp_(mean_C.to(module.running_mean), momentum)
    module.running_var.lerp_((variance_C * (count / (count - 1))).to(module.running_var), momentum)


class _Normalized(torch.autograd.Function):
    """(x − mean) / sqrt(variance + ε) with mean and variance over all workers' images; they are returned, too.

    With y the output, g its gradient and means over all images: dx = (g − mean(g) − y·mean(g·y)) / sqrt(variance + ε).
    """

    @staticmethod
    def forward(ctx: Any, x_BCHW: Tensor, epsilon: float) -> tuple[Tensor, Tensor, Tensor]:
        mean_C = mean_over_ranks(x_BCHW.mean((0, 2, 3)), len(x_BCHW))
        centred_BCHW = x_BCHW - mean_C[:, None, None]
        variance_C = mean_over_ranks(centred_BCHW.square().mean((0, 2, 3)), len(x_BCHW))
        inverse_C = (variance_C + epsilon).rsqrt()
        y_BCHW = centred_BCHW * inverse_C[:, None, None]
        ctx.save_for_backward(y_BCHW, inverse_C)
        ctx.mark_non_differentiable(mean_C, variance_C)
        return y_BCHW, mean_C, variance_C

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        y_BCHW, inverse_C = ctx.saved_tensors
        gradient_BCHW = gradients[0]
        means_2C = torch.stack([gradient_BCHW.mean((0, 2, 3)), (gradient_BCHW * y_BCHW).mean((0, 2, 3))])
        mean_C, slope_C = mean_over_ranks(means_2C, len(y_BCHW)).unbind()
        dx_BCHW = gradient_BCHW - mean_C[:, None, None] - y_BCHW * slope_C[:, None, None]
        return dx_BCHW * inverse_C[:, None, None], None
