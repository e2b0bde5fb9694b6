"""The integer grid that a quantizer rounds to."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class IntegerGrid:
    """Codes of `bits` bits: signed and symmetric (zero point 0), or unsigned and asymmetric.

    narrow: the lowest signed code is left out, so that the codes of a channel can be negated.
    """

    bits: int
    is_symmetric: bool
    narrow: bool = False

    @property
    def quant_min(self) -> int:
        return -(1 << (self.bits - 1)) + int(self.narrow) if self.is_symmetric else 0

    @property
    def quant_max(self) -> int:
        return (1 << (self.bits - 1)) - 1 if self.is_symmetric else (1 << self.bits) - 1
