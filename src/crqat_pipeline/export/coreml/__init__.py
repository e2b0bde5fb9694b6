"""A student as a Core ML package, for iOS and macOS."""

from crqat_pipeline.export.coreml.package import CoremlPackage, write_coreml

__all__ = ["CoremlPackage", "write_coreml"]
