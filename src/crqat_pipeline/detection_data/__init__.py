"""Annotations, pixels and batches: readers, checks, prompts, transforms, loader, the embedded benchmark."""

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
