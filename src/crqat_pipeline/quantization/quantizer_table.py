"""FAKE_QUANTIZERS: which parameters of a quantizer are learned, and by which gradient.

lsq: learned step (Esser et al., ICLR 2020); a zero point, if any, stays as calibrated.
lsq_plus: learned step and integer zero point (Bhalgat et al., CVPRW 2020; the real-valued offset of that paper would
make zero, hence zero padding, unrepresentable).
pact: the step moves only by what is clipped (Choi et al. 2018; clipping level = step * codes above zero).
minmax: nothing learned; the step follows the range of the data (Jacob et al., CVPR 2018).
fixed: nothing learned; the step stays as calibrated (post-training quantization).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from crqat_pipeline.quantization.affine import choose_qparams
from crqat_pipeline.quantization.fake_quantizer import FakeQuantizer, QuantizerPlan
from crqat_pipeline.quantization.observers import grouped
from crqat_pipeline.runtime.ranks import maximum_over_ranks, minimum_over_ranks


class TrackingFakeQuantizer(FakeQuantizer):
    """In training, its grid moves towards the range of each batch by `range_momentum` (1: follows it exactly).

    On several workers the range is that of the whole batch.
    """

    def forward(self, x: Tensor) -> Tensor:
        if self.is_on and self.training and not self.is_observing and self.is_ready and x.numel():
            self._follow(x.detach())
        return super().forward(x)

    def _follow(self, x: Tensor) -> None:
        low_G, high_G = self.grid_range
        seen_low_G, seen_high_G = torch.aminmax(grouped(x, self.settings.axis, low_G.numel()), dim=1)
        seen_low_G, seen_high_G = minimum_over_ranks(seen_low_G), maximum_over_ranks(seen_high_G)
        low_G = low_G.lerp(seen_low_G.to(low_G), self.plan.range_momentum)
        high_G = high_G.lerp(seen_high_G.to(high_G), self.plan.range_momentum)
        self.set_qparams(*choose_qparams(low_G, high_G, self.grid))


FAKE_QUANTIZERS: dict[str, Callable[[QuantizerPlan], FakeQuantizer]] = {
    "lsq": lambda plan: FakeQuantizer(plan, learns_step=True),
    "lsq_plus": lambda plan: FakeQuantizer(plan, learns_step=True, learns_zero_point=True),
    "pact": lambda plan: FakeQuantizer(plan.with_step_gradient("clip"), learns_step=True),
    "minmax": lambda plan: TrackingFakeQuantizer(plan, learns_step=False),
    "fixed": lambda plan: FakeQuantizer(plan, learns_step=False),
}
