"""What a packed file weighs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class PackedReport:
    """bytes_by_role: tensor bytes by role of the manifest, "text_bank" included. file_bytes: with header.

    num_packed_weights: weights of fewer than 8 bits; bytes_per_packed_weight: their codes and steps, per weight.
    sha256: of the whole file.
    """

    path: Path
    file_bytes: int
    bytes_by_role: Mapping[str, int]
    num_packed_weights: int
    sha256: str

    @property
    def bytes_per_packed_weight(self) -> float:
        """0 for a file without such weights."""
        codes = [n for role, n in self.bytes_by_role.items() if role.startswith("codes_") and role != "codes_8bit"]
        size = sum(codes) + self.bytes_by_role.get("weight_steps", 0)
        return size / self.num_packed_weights if self.num_packed_weights else 0.0

    def __str__(self) -> str:
        rows = [f"{role:<18}{size / 2**20:>9.3f} MB" for role, size in self.bytes_by_role.items()]
        ratio = f"{self.bytes_per_packed_weight:.3f} bytes per packed weight"
        return "\n".join([f"{self.path.name}: {self.file_bytes / 2**20:.3f} MB, {ratio}", *rows])
