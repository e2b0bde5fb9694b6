"""A student as ncnn files: int8 products by its own ranges, on phones and boards that ncnn runs on."""

from crqat_pipeline.export.ncnn.folder import NcnnFolder, write_ncnn

__all__ = ["NcnnFolder", "write_ncnn"]
