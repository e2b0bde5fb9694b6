"""Bits in one word: `quantization.bits: 8-8-8` in place of three parameters."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any

SECTION, BITS = "quantization", "bits"
FIELDS = ("weight_bits", "activation_bits", "attention_bits")


def spell_out_bits(parameters: Any) -> None:
    """Replace `quantization.bits` by the three parameters that it stands for, in place.

    For every file and for --params by itself, so that what comes later wins. A field beside it changes that one. Raises
    ValueError for bits that are no three widths.
    """
    section = parameters.get(SECTION) if isinstance(parameters, MutableMapping) else None
    if not isinstance(section, MutableMapping) or BITS not in section:
        return
    from crqat_pipeline.quantization import QuantSpec

    spec = QuantSpec.parse(str(section.pop(BITS)))
    for name in FIELDS:
        section.setdefault(name, getattr(spec, name))
