from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from crqat_pipeline.quantization import pack_codes, unpack_codes
from crqat_pipeline.quantization.code_packing import padding_is_zero


@settings(max_examples=80, deadline=None)
@given(
    rows=st.integers(0, 5),
    columns=st.integers(0, 9),
    bits=st.integers(2, 8),
    signed=st.booleans(),
    seed=st.integers(0, 999),
)
def test_round_trip_without_a_wasted_bit(rows, columns, bits, signed, seed):
    low, high = (-(1 << bits - 1), 1 << bits - 1) if signed else (0, 1 << bits)
    generator = torch.Generator().manual_seed(seed)
    codes = torch.randint(low, high, (rows, columns), generator=generator).to(torch.int8 if signed else torch.uint8)
    packed = pack_codes(codes, bits)
    assert packed.shape == (rows, -(-columns * bits // 8))
    assert packed.dtype == torch.uint8
    assert padding_is_zero(packed, columns, bits)
    assert torch.equal(unpack_codes(packed, columns, bits, signed), codes)


def test_low_nibble_comes_first_and_odd_rows_end_with_zero():
    codes = torch.tensor([[1, 2, -1], [-8, 7, 3]], dtype=torch.int8)
    assert pack_codes(codes, 4).tolist() == [[0x21, 0x0F], [0x78, 0x03]]


def test_three_bits_make_one_stream():
    codes = torch.tensor([[1, 2, 3, 4]], dtype=torch.uint8)
    assert pack_codes(codes, 3).tolist() == [[0b11010001, 0b00001000]]


@pytest.mark.parametrize(
    ("codes", "text"),
    [
        (torch.tensor([[16]], dtype=torch.int8), "got 16 to 16"),
        (torch.tensor([[-1, 9]], dtype=torch.int8), "got -1 to 9"),
        (torch.tensor([[1.0]]), "2-D int8 or uint8 tensor; got .*float32"),
        (torch.tensor([1], dtype=torch.int8), "2-D"),
    ],
)
def test_what_does_not_fit_is_refused(codes, text):
    with pytest.raises(ValueError, match=text):
        pack_codes(codes, 4)


def test_wrong_column_count_is_refused():
    with pytest.raises(ValueError, match=r"5 columns of 4 bits need \(rows, 3\) uint8; got \(1, 2\)"):
        unpack_codes(torch.zeros(1, 2, dtype=torch.uint8), 5, 4, True)


def test_other_widths_are_refused():
    with pytest.raises(ValueError, match="2 to 8 bits; got 9"):
        pack_codes(torch.zeros(1, 1, dtype=torch.uint8), 9)
