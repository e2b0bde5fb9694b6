"""What docs/how_to/quantize_any_model.md shows: a model that is no detector of this project."""

from __future__ import annotations

import pytest
import torch
from torchvision.models import resnet18

from crqat_pipeline.quantization import QuantSpec, calibrate, cost, prepare, quantizer_parameters, set_quantized
from crqat_pipeline.structures.quantization_contract import QuantizationContract

PARTS = {"stem": ("conv1", "bn1"), "body": ("layer1", "layer2", "layer3", "layer4"), "classifier": ("fc",)}


@pytest.fixture
def model() -> torch.nn.Module:
    torch.manual_seed(0)
    made = resnet18(num_classes=10).eval()
    made.quantization_contract = QuantizationContract(PARTS, edge_layers=("conv1", "fc"), size_divisor=32)
    return made


def test_a_model_without_a_contract_is_told_what_is_missing() -> None:
    with pytest.raises(ValueError, match=r"ResNet has nothing there\. Set it, such as model\.quantization_contract"):
        prepare(resnet18(), QuantSpec.parse("4-4-8"))


def test_names_that_the_model_does_not_have_are_refused(model: torch.nn.Module) -> None:
    model.quantization_contract = QuantizationContract({"body": ("layer9",)})
    with pytest.raises(ValueError, match=r"ResNet has no 'layer9'\. Its modules begin with avgpool, bn1, conv1"):
        prepare(model, QuantSpec.parse("4-4-8"))
    model.quantization_contract = QuantizationContract({"body": "layer1"})  # type: ignore[dict-item]
    with pytest.raises(ValueError, match="tuple of prefixes"):
        prepare(model, QuantSpec.parse("4-4-8"))


def test_ptq_of_a_torchvision_model(model: torch.nn.Module) -> None:
    images = torch.rand(4, 3, 64, 64)
    with torch.no_grad():
        wanted = model(images)
    summary = prepare(model, QuantSpec.parse("8-8-8"))
    assert len(summary.quantized) == 19
    assert set(summary.full_precision) == {"conv1", "fc"}
    calibrate(model, [(images,)], ["body"])
    set_quantized(model, ["body"])
    with torch.no_grad():
        got = model(images)
    assert 0 < (got - wanted).abs().max() < 0.1 * wanted.abs().max()
    report = cost(model, None, 224, 1)
    assert report.params == pytest.approx(11.18e6, rel=0.01)
    assert report.size_mb < 14


def test_a_training_loop_written_by_hand(model: torch.nn.Module) -> None:
    images, labels = torch.rand(8, 3, 32, 32), torch.arange(8)
    prepare(model, QuantSpec.parse("4-4-8", kernel="eager"))
    calibrate(model, [(images,)], PARTS)
    set_quantized(model, PARTS)
    steps = quantizer_parameters(model)
    others = [one for one in model.parameters() if not any(one is step for step in steps)]
    optimizer = torch.optim.AdamW([{"params": others, "lr": 1e-3}, {"params": steps, "lr": 1e-4}])
    losses = []
    for _ in range(6):
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(model(images), labels)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
    assert all(step.grad is not None for step in steps)
