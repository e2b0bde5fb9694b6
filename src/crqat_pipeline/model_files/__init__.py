"""Model files: every format that is written and read, and the way from a file to the detector it was made of."""

from crqat_pipeline.model_files.checkpoint_file import read_checkpoint, write_checkpoint
from crqat_pipeline.model_files.detector_row import DetectorRow
from crqat_pipeline.model_files.kind import kind_of
from crqat_pipeline.model_files.packed import PackedModel, read_packed, write_packed
from crqat_pipeline.model_files.rebuilding import RebuiltDetector, rebuild, to_checkpoint
from crqat_pipeline.model_files.text_bank_file import find_text_banks, read_text_bank, write_text_bank

__all__ = [
    "DetectorRow",
    "PackedModel",
    "RebuiltDetector",
    "find_text_banks",
    "kind_of",
    "read_checkpoint",
    "read_packed",
    "read_text_bank",
    "rebuild",
    "to_checkpoint",
    "write_checkpoint",
    "write_packed",
    "write_text_bank",
]
