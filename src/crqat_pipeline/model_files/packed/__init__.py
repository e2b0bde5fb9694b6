"""`*.int4.safetensors`: a quantized detector in a file, two codes per byte (docs/formats/packed_int4.md)."""

from crqat_pipeline.model_files.packed.manifest import PackedEntry, manifest
from crqat_pipeline.model_files.packed.reader import PackedModel, read_packed
from crqat_pipeline.model_files.packed.size import PackedReport
from crqat_pipeline.model_files.packed.writer import write_packed

__all__ = ["PackedEntry", "PackedModel", "PackedReport", "manifest", "read_packed", "write_packed"]
