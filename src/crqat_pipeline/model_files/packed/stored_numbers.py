"""The numbers of a packed file, held against what their entries allow."""

from __future__ import annotations

from torch import Tensor

from crqat_pipeline.model_files.number_checks import check_codes, check_finite, check_positive
from crqat_pipeline.model_files.number_limits import (
    LARGEST_ACTIVATION,
    LARGEST_GAIN,
    LARGEST_PARAMETER,
    check_limits,
    check_range,
)
from crqat_pipeline.model_files.packed.manifest import PackedEntry
from crqat_pipeline.quantization.affine import SMALLEST_SCALE
from crqat_pipeline.quantization.code_packing import padding_is_zero, unpack_codes

SMALLEST = 0.999 * SMALLEST_SCALE
"""1e-8 is not a float32."""


def check_numbers(entry: PackedEntry, tensor: Tensor) -> None:
    """Raises ValueError for NaN, infinity, numbers beyond their limits, and codes outside their bits."""
    check_finite({entry.name: tensor})
    if entry.code_range is None and entry.role in ("weight_steps", "activation_steps"):
        check_positive(entry.name, tensor)
        largest = LARGEST_PARAMETER if entry.role == "weight_steps" else LARGEST_ACTIVATION
        check_range(entry.name, tensor, SMALLEST, largest / entry.largest_code)
    elif entry.role == "batch_norm":
        check_range(entry.name, tensor, -LARGEST_GAIN, LARGEST_GAIN)
    elif entry.role == "float":
        check_limits({entry.name: tensor})
    if entry.code_range is None:
        return
    low, high = entry.code_range
    if entry.packed_bits:
        codes = unpack_codes(tensor, entry.num_columns, entry.packed_bits, low < 0)
        check_codes(entry.name, codes, low, high)
        if not padding_is_zero(tensor, entry.num_columns, entry.packed_bits):
            raise ValueError(
                f"Bits behind the last code of a row are zero; {entry.name!r} has others. Export the model again."
            )
    else:
        check_codes(entry.name, tensor, low, high)
