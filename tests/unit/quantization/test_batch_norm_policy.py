from __future__ import annotations

import pytest
import torch

from crqat_pipeline.quantization.batch_norm import reestimate_batch_norm, set_batch_norm
from tests.support.toy_detector import ToyDetector, toy_inputs


def test_frozen_statistics_stay_and_live_ones_move():
    detector = ToyDetector().train()
    set_batch_norm(detector, "frozen", ["backbone"])
    before = {name: buffer.clone() for name, buffer in detector.named_buffers()}
    detector(*toy_inputs())
    after = dict(detector.named_buffers())
    assert torch.equal(after["backbone.norm.running_mean"], before["backbone.norm.running_mean"])
    assert not torch.equal(after["head.hidden_norm.running_mean"], before["head.hidden_norm.running_mean"])
    set_batch_norm(detector, "live", ["backbone"])
    detector(*toy_inputs())
    assert not torch.equal(after["backbone.norm.running_var"], before["backbone.norm.running_var"])


def test_reestimated_statistics_are_the_average_over_batches():
    detector = ToyDetector().train()
    batches = [toy_inputs(seed=seed) for seed in range(3)]
    stem_means = torch.stack([detector.backbone.stem(images).mean((0, 2, 3)) for images, _ in batches])
    head_before = detector.head.hidden_norm.running_mean.clone()
    assert reestimate_batch_norm(detector, batches, ["backbone"]) == 3
    torch.testing.assert_close(detector.backbone.stem_norm.running_mean, stem_means.mean(0))
    assert torch.equal(detector.head.hidden_norm.running_mean, head_before)
    assert detector.backbone.norm.momentum == 0.1
    assert detector.training


def test_errors():
    detector = ToyDetector()
    before = detector.backbone.norm.running_mean.clone()
    with pytest.raises(ValueError, match="at least one batch"):
        reestimate_batch_norm(detector, [], ["backbone"])
    assert torch.equal(detector.backbone.norm.running_mean, before)
    with pytest.raises(ValueError, match="'frozen' or 'live'; got 'dead'"):
        set_batch_norm(detector, "dead", ["backbone"])
