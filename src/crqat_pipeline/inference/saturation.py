"""What people are told of CPUs whose 8-bit kernels are wrong (export/onnx/saturation.py)."""

from __future__ import annotations

from crqat_pipeline.export.onnx.saturation import is_saturating


def self_test(num_wide_layers: int, *, has_unsigned_weights: bool = False) -> str:
    """One line for people: what this CPU does with the largest 8-bit codes, and what that means for a graph."""
    if is_saturating():
        cpu = "this CPU (no VNNI) saturates sums of signed 8-bit weights with 8-bit activations"
    else:
        cpu = "this CPU adds 8-bit products without saturation; x86 CPUs without VNNI do not"
    if not num_wide_layers:
        return f"self-test: {cpu}; no layer of this graph can reach that."
    if has_unsigned_weights:
        return f"self-test: {cpu}; {num_wide_layers} layers could reach that and have unsigned weights: right, slow."
    return (
        f"self-test: {cpu}; {num_wide_layers} layers could reach that. This program loads them right; other "
        "programs on such CPUs need --unsigned-weights."
    )
