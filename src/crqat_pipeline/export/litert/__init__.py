"""A student as a LiteRT file: bytes in, bytes out by its own ranges, on phones and wherever LiteRT runs."""

from crqat_pipeline.export.litert.file import LitertFile, write_litert

__all__ = ["LitertFile", "write_litert"]
