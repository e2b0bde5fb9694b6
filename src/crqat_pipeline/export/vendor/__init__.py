"""What toolchains that quantize by themselves are given: a plain float graph, and the student's ranges beside it."""

from crqat_pipeline.export.vendor.folder import VendorFolder, write_vendor
from crqat_pipeline.export.vendor.spec import VendorSpec

__all__ = ["VendorFolder", "VendorSpec", "write_vendor"]
