"""What went wrong when a loss is no longer finite: the step, the terms, the layer, the checkpoint to go back to."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor, nn

from crqat_pipeline.runtime.ranks import num_ranks, texts_of_ranks
from crqat_pipeline.training.resume import PATTERN


class NonFiniteLossError(RuntimeError):
    """A loss became NaN or infinite; the message names the step, the terms, the layer and the last good checkpoint."""


def refuse_non_finite(
    losses: Mapping[str, float],
    own: Mapping[str, Tensor],
    repeat: Callable[[], object],
    model: nn.Module,
    step: int,
    folder: Path | None,
) -> None:
    """Raises NonFiniteLossError unless every loss is finite. repeat: does the forward pass that gave them once more.

    On several workers the losses are those of the whole batch, so all of them stop here together. own: this worker's
    part of them.
    """
    bad = [name for name, loss in losses.items() if not math.isfinite(loss)]
    if not bad:
        return
    saved = sorted(folder.glob(PATTERN)) if folder else []
    raise NonFiniteLossError(
        f"Losses must stay finite; at step {step} {', '.join(bad)} did not{_where(own)}. "
        f"First layer with a non-finite output: {_first_broken_layer(model, repeat)}. "
        f"Last good checkpoint: {saved[-1].name if saved else 'none'}. "
        "Lower the learning rate or set max_gradient_norm."
    )


def _where(own: Mapping[str, Tensor]) -> str:
    """The workers whose part is not finite; nothing where there is one worker, or only the sum is not."""
    is_bad = not all(bool(loss.isfinite().all()) for loss in own.values())
    bad = [str(number) for number, said in enumerate(texts_of_ranks("bad" if is_bad else "")) if said]
    return f" on rank {', '.join(bad)} of {num_ranks()} workers" if bad and num_ranks() > 1 else ""


def _first_broken_layer(model: nn.Module, repeat: Callable[[], object]) -> str:
    """Name of the first leaf module, in the order of execution, that returns a non-finite number."""
    broken: list[str] = []
    with torch.no_grad(), _listening(model, broken):
        repeat()
    found = next(filter(None, texts_of_ranks(broken[0] if broken else "")), None)
    if found is None:
        return "none, so it is the loss itself"
    weights_are_finite = all(value.isfinite().all() for value in model.get_submodule(found).state_dict().values())
    return f"{found} (its weights are {'finite' if weights_are_finite else 'not finite either'})"


@contextmanager
def _listening(model: nn.Module, broken: list[str]) -> Iterator[None]:
    def listen(name: str) -> Callable[..., None]:
        def hook(module: nn.Module, inputs: object, output: object) -> None:
            if isinstance(output, Tensor) and not output.isfinite().all():
                broken.append(name)

        return hook

    leaves = {name: module for name, module in model.named_modules() if not list(module.children())}
    handles = [module.register_forward_hook(listen(name)) for name, module in leaves.items()]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
