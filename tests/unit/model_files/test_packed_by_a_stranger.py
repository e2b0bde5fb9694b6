"""The page of the packed format suffices: a reader that knows numpy, safetensors and json alone."""

import hashlib
import json

import numpy as np
import pytest
import torch
from safetensors import safe_open

from crqat_pipeline.model_files import write_packed
from crqat_pipeline.quantization.layers import QuantConv2d, QuantLinear
from crqat_pipeline.structures.vocabulary import TextBank
from tests.support.small_students import NAME, minmax_spec, small_student

BANK = TextBank(("red lamp", "Straßenlaterne"), torch.ones(2, 64), "test", is_normalized=False)
DTYPES = {
    "float32": "torch.float32",
    "uint8": "torch.uint8",
    "int8": "torch.int8",
    "int64": "torch.int64",
    "bool": "torch.bool",
}


def read(path):
    """Tensors and header, the checksum held against the content."""
    with safe_open(path, framework="numpy") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        header = json.loads(file.metadata()["crqat"])
    expected = header.pop("sha256")
    digest = hashlib.sha256(json.dumps(header, sort_keys=True, ensure_ascii=False).encode())
    for name in sorted(tensors):
        array = tensors[name]
        digest.update(f"{name}|torch.{array.dtype.name}|{array.shape}|".encode() + array.tobytes())
    assert digest.hexdigest() == expected
    return tensors, header


def weight(tensors, header, layer, shape):
    """A kernel (O, I, height, width) or (O, I) in float32."""
    grid, stored = header["layers"][f"{layer}.weight_quantizer"], tensors[f"{layer}.weight_codes"]
    rows, columns = shape[0], int(np.prod(shape[1:]))
    codes, bits = stored.astype(np.int64), grid["bits"]
    if header["format_version"] == 1:
        bits = 4 if bits <= 4 else 8
    if bits < 8:
        stream = np.unpackbits(stored, axis=1, bitorder="little")
        assert not stream[:, columns * bits :].any()
        digits = stream[:, : columns * bits].reshape(rows, columns, bits).astype(np.int64)
        codes = (digits << np.arange(bits)).sum(axis=2)
        if grid["low"] < 0:
            codes = np.where(codes >> (bits - 1), codes - (1 << bits), codes)
    assert codes.min() >= grid["low"]
    assert codes.max() <= grid["high"]
    scale = tensors[f"{layer}.weight_quantizer.scale"]
    zero_point = tensors.get(f"{layer}.weight_quantizer.zero_point", np.zeros_like(scale)).astype(np.float32)
    repeats = rows // len(scale)
    scale, zero_point = (np.repeat(each, repeats)[:, None] for each in (scale, zero_point))
    return ((codes - zero_point).astype(np.float32) * scale).reshape(shape)


MIXED = {"backbone": 3, "neck": {"weight": 5}, "head": 6, "edges": 8, "similarity": 8}


@pytest.mark.parametrize(
    "spec",
    [
        minmax_spec(),
        minmax_spec("8-5-none"),
        minmax_spec("3-4-8", weight_symmetric=False),
        minmax_spec(widths=MIXED),
    ],
)
def test_every_weight_is_the_students_own(tmp_path, spec):
    student = small_student(spec)
    path = tmp_path / "m.int4.safetensors"
    options = {"detector_name": NAME, "detector_options": {"version": 2}, "quantization": spec, "text_bank": BANK}
    write_packed(path, student, **options)
    tensors, header = read(path)
    num_layers = 0
    for name, layer in student.named_modules():
        if isinstance(layer, QuantConv2d | QuantLinear) and layer.weight_quantizer.is_on:
            quantizer = layer.weight_quantizer
            expected = quantizer.dequantize(quantizer.codes(layer.weight)).detach().numpy()
            np.testing.assert_array_equal(weight(tensors, header, name, tuple(layer.weight.shape)), expected)
            num_layers += 1
    assert num_layers > 50
    assert header["text_bank"]["prompts"] == list(BANK.prompts)
