"""Names of the packed format; its schema is headers.PackedHeader, its checksum that of every tensor file."""

from __future__ import annotations

from crqat_pipeline.runtime.tensor_file import as_json, content_sha256

FORMAT_NAME = "crqat-packed-int4"
FORMAT_VERSION = 2
"""The newest version. Version 1 stores codes of up to 4 bits in nibbles and wider ones in bytes; version 2 each in its
own bits. A file whose weights all have 4 or 8 bits is the same in both and says 1."""
CLIP_CONVENTION = (
    "code = clamp(round_half_even(x / scale) + zero_point, low, high); value = (code - zero_point) * scale"
)

__all__ = ["CLIP_CONVENTION", "FORMAT_NAME", "FORMAT_VERSION", "as_json", "content_sha256"]
