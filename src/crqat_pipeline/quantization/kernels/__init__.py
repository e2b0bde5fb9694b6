"""Fake-quantization kernels: one forward, one backward, several ways to compute them."""
