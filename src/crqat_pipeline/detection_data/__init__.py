"""Annotations, pixels and batches: readers, checks, prompts, transforms, loader, the embedded benchmark.

Names are imported when they are asked for: whoever reads annotation files alone (`crqat evaluate`) loads no torch.
"""

from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from crqat_pipeline.detection_data.annotated_vocabulary import (
        restrict_vocabulary,
        vocabulary_from_annotations,
        vocabulary_from_categories,
    )
    from crqat_pipeline.detection_data.annotation_checks import AnnotationSummary, check_annotations
    from crqat_pipeline.detection_data.annotation_faults import AnnotationError, Fault
    from crqat_pipeline.detection_data.annotation_file import is_federated, read_json_annotations
    from crqat_pipeline.detection_data.evaluation_loader import EvaluationBatch, evaluation_batches
    from crqat_pipeline.detection_data.image_folder import ImageFileError, ImageFolder
    from crqat_pipeline.detection_data.image_writer import write_images
    from crqat_pipeline.detection_data.letterbox import Letterbox, letterbox
    from crqat_pipeline.detection_data.loader_spec import LoaderSpec
    from crqat_pipeline.detection_data.prepared_split import PreparedSplit, prepare_split
    from crqat_pipeline.detection_data.training_loader import training_batches

_HOMES = MappingProxyType(
    {
        "AnnotationError": "annotation_faults",
        "AnnotationSummary": "annotation_checks",
        "EvaluationBatch": "evaluation_loader",
        "Fault": "annotation_faults",
        "ImageFileError": "image_folder",
        "ImageFolder": "image_folder",
        "Letterbox": "letterbox",
        "LoaderSpec": "loader_spec",
        "PreparedSplit": "prepared_split",
        "check_annotations": "annotation_checks",
        "evaluation_batches": "evaluation_loader",
        "is_federated": "annotation_file",
        "letterbox": "letterbox",
        "prepare_split": "prepared_split",
        "read_json_annotations": "annotation_file",
        "restrict_vocabulary": "annotated_vocabulary",
        "training_batches": "training_loader",
        "vocabulary_from_annotations": "annotated_vocabulary",
        "vocabulary_from_categories": "annotated_vocabulary",
        "write_images": "image_writer",
    }
)
"""Name -> the module of this room that it lies in."""

__all__ = [
    "AnnotationError",
    "AnnotationSummary",
    "EvaluationBatch",
    "Fault",
    "ImageFileError",
    "ImageFolder",
    "Letterbox",
    "LoaderSpec",
    "PreparedSplit",
    "check_annotations",
    "evaluation_batches",
    "is_federated",
    "letterbox",
    "prepare_split",
    "read_json_annotations",
    "restrict_vocabulary",
    "training_batches",
    "vocabulary_from_annotations",
    "vocabulary_from_categories",
    "write_images",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
