"""The numbers of a packed file, held against what their entries allow."""

from __future__ import annotations

from torch import Tensor

from crqat_pipeline.model_files.number_checks import check_codes, check_finite, check_positive
from crqat_pipeline.model_files.packed.manifest import PackedEntry
from crqat_pipeline.quantization import unpack_int4


def check_numbers(entry: PackedEntry, tensor: Tensor) -> None:
    """Raises ValueError for NaN, infinity, steps that are not above zero, and codes outside their bits."""
    check_finite({entry.name: tensor})
    if entry.name.endswith(".scale") and entry.role in ("weight_steps", "activation_steps"):
        check_positive(entry.name, tensor)
    if entry.code_range is None:
        return
    low, high = entry.code_range
    if entry.role == "codes_4bit":
        check_codes(entry.name, unpack_int4(tensor, entry.num_columns, low < 0), low, high)
        if entry.num_columns % 2 and bool((tensor[:, -1] >> 4).any()):
            raise ValueError(f"An odd row ends with a zero nibble; {entry.name!r} has others. Export the model again.")
    else:
        check_codes(entry.name, tensor, low, high)
