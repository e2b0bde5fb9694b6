"""The numbers of a packed file, held against what their entries allow."""

from __future__ import annotations

from torch import Tensor

from crqat_pipeline.model_files.number_checks import check_codes, check_finite, check_positive
from crqat_pipeline.model_files.packed.manifest import PackedEntry
from crqat_pipeline.quantization.code_packing import padding_is_zero, unpack_codes


def check_numbers(entry: PackedEntry, tensor: Tensor) -> None:
    """Raises ValueError for NaN, infinity, steps that are not above zero, and codes outside their bits."""
    check_finite({entry.name: tensor})
    if entry.name.endswith(".scale") and entry.role in ("weight_steps", "activation_steps"):
        check_positive(entry.name, tensor)
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
