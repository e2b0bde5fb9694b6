"""The max-sigmoid gate: numbers by hand, chunks, gradients, and the text enhancer's attention."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from crqat_pipeline.detectors.common.attention import SoftmaxProduct
from crqat_pipeline.detectors.yolo_world.gate import GateProduct, MaxSigmoidGate
from crqat_pipeline.detectors.yolo_world.max_product import max_product
from crqat_pipeline.detectors.yolo_world.text_enhancer import TextEnhancer


def test_gate_product_by_hand() -> None:
    map_BMCP = torch.tensor([[[[1.0, -1.0], [2.0, 0.5]]]])  # one head, two channels, two pixels
    guide_XMKC = torch.tensor([[[[1.0, 1.0], [-3.0, 0.0]]]])  # two prompts
    scores = GateProduct()(map_BMCP, guide_XMKC)
    assert scores.tolist() == [[[pytest.approx(3 / math.sqrt(2)), pytest.approx(3 / math.sqrt(2))]]]


def test_gate_multiplies_each_head_by_its_own_sigmoid() -> None:
    gate = MaxSigmoidGate(channels=4, embedding_dim=3, num_heads=2).eval()
    with torch.no_grad():
        gate.head_bias.copy_(torch.tensor([0.0, -40.0]))
        gate.guide.weight.zero_()
        gate.guide.bias.zero_()
    map_BCHW = torch.randn(1, 4, 5, 3)
    gated = gate(map_BCHW, torch.randn(1, 2, 3))
    projected = gate.project(map_BCHW)
    torch.testing.assert_close(gated[:, :2], projected[:, :2] / 2)
    assert gated[:, 2:].abs().max() < 1e-12


@settings(max_examples=30, deadline=None)
@given(
    images=st.integers(1, 3),
    heads=st.integers(1, 3),
    channels=st.integers(1, 5),
    prompts=st.integers(1, 70),
    pixels=st.integers(1, 9),
    is_shared=st.booleans(),
)
def test_chunks_change_neither_values_nor_gradients(
    images: int, heads: int, channels: int, prompts: int, pixels: int, is_shared: bool
) -> None:
    map_BMCP = torch.randn(images, heads, channels, pixels, dtype=torch.float64, requires_grad=True)
    shape = (1 if is_shared else images, heads, prompts, channels)
    guide_XMKC = torch.randn(shape, dtype=torch.float64, requires_grad=True)
    plain = torch.matmul(guide_XMKC, map_BMCP).max(dim=2).values
    expected = torch.autograd.grad(plain.sin().sum(), (map_BMCP, guide_XMKC))
    for elements in (1, None):
        product = max_product(map_BMCP, guide_XMKC, elements)
        torch.testing.assert_close(product, plain, rtol=0, atol=1e-12)
        gradients = torch.autograd.grad(product.sin().sum(), (map_BMCP, guide_XMKC))
        for gradient, reference in zip(gradients, expected, strict=True):
            torch.testing.assert_close(gradient, reference, rtol=0, atol=1e-12)
    with torch.no_grad():
        torch.testing.assert_close(max_product(map_BMCP, guide_XMKC, 1), plain, rtol=0, atol=1e-12)


def test_of_equal_prompts_one_gets_the_gradient() -> None:
    map_BMCP = torch.ones(1, 1, 2, 3, requires_grad=True)
    guide_XMKC = torch.ones(1, 1, 40, 2, requires_grad=True)
    max_product(map_BMCP, guide_XMKC, 1).sum().backward()
    assert guide_XMKC.grad is not None
    assert map_BMCP.grad is not None
    assert guide_XMKC.grad[0, 0, :, 0].tolist() == [3.0] + [0.0] * 39
    assert torch.equal(map_BMCP.grad, torch.ones(1, 1, 2, 3))


def test_the_forward_value_is_the_same_with_and_without_gradient() -> None:
    gate = MaxSigmoidGate(channels=8, embedding_dim=5, num_heads=2).eval()
    map_BCHW, text = torch.randn(2, 8, 4, 6), torch.randn(1, 37, 5)
    with torch.no_grad():
        plain = gate(map_BCHW, text)
    assert torch.equal(gate(map_BCHW, text), plain)


def test_attention_is_softmax_attention() -> None:
    query, key, value = torch.randn(2, 3, 5, 4), torch.randn(2, 3, 27, 4), torch.randn(2, 3, 27, 4)
    expected = functional.scaled_dot_product_attention(query, key, value)
    torch.testing.assert_close(SoftmaxProduct()(query, key, value), expected)


def test_enhancer_adds_to_the_text_and_is_blind_to_how_the_text_is_shared() -> None:
    enhancer = TextEnhancer((4, 6, 8), embedding_dim=12, width=8, num_heads=2).eval()
    maps = [torch.randn(2, 4, 12, 9), torch.randn(2, 6, 6, 5), torch.randn(2, 8, 3, 3)]
    text = 5 * torch.randn(1, 7, 12)
    shared, expanded = enhancer(text, maps), enhancer(text.expand(2, -1, -1), maps)
    torch.testing.assert_close(shared, expanded)
    with torch.no_grad():
        enhancer.proj.weight.zero_()
        enhancer.proj.bias.zero_()
    assert torch.equal(enhancer(text, maps), text.expand(2, -1, -1))
