from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from crqat_pipeline.quantization import pack_int4, unpack_int4


@settings(max_examples=50, deadline=None)
@given(rows=st.integers(0, 5), columns=st.integers(0, 9), signed=st.booleans(), seed=st.integers(0, 999))
def test_round_trip(rows, columns, signed, seed):
    low, high = (-8, 8) if signed else (0, 16)
    generator = torch.Generator().manual_seed(seed)
    codes = torch.randint(low, high, (rows, columns), generator=generator).to(torch.int8)
    packed = pack_int4(codes)
    assert packed.shape == (rows, (columns + 1) // 2)
    assert packed.dtype == torch.uint8
    assert torch.equal(unpack_int4(packed, columns, signed), codes)


def test_low_nibble_comes_first_and_odd_rows_end_with_zero():
    codes = torch.tensor([[1, 2, -1], [-8, 7, 3]], dtype=torch.int8)
    assert pack_int4(codes).tolist() == [[0x21, 0x0F], [0x78, 0x03]]


@pytest.mark.parametrize(
    ("codes", "text"),
    [
        (torch.tensor([[16]], dtype=torch.int8), "got 16 to 16"),
        (torch.tensor([[-1, 9]], dtype=torch.int8), "got -1 to 9"),
        (torch.tensor([[1.0]]), "2-D int8 tensor; got .*float32"),
        (torch.tensor([1], dtype=torch.int8), "2-D"),
    ],
)
def test_what_does_not_fit_is_refused(codes, text):
    with pytest.raises(ValueError, match=text):
        pack_int4(codes)


def test_wrong_column_count_is_refused():
    with pytest.raises(ValueError, match=r"5 columns need \(rows, 3\) uint8; got \(1, 2\)"):
        unpack_int4(torch.zeros(1, 2, dtype=torch.uint8), 5, True)
