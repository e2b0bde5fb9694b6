"""Data in: render or accept it, check it, choose what each stage sees, embed the vocabulary."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from crqat_pipeline.detection_data.annotated_vocabulary import restrict_vocabulary, vocabulary_from_annotations
from crqat_pipeline.detection_data.annotation_checks import check_annotations
from crqat_pipeline.detection_data.annotation_file import is_federated
from crqat_pipeline.detection_data.image_folder import ImageFolder
from crqat_pipeline.detection_data.prepared_split import PreparedSplit, prepare_split
from crqat_pipeline.recipes.specs import DataPrepSpec, FetchDataSpec, RunSpec
from crqat_pipeline.runtime.json_digest import json_digest
from crqat_pipeline.runtime.seeding import derive_seed
from crqat_pipeline.structures.vocabulary import TextBank, Vocabulary
from crqat_pipeline.text_encoders.table import TextEncoderSpec
from crqat_pipeline.text_encoders.vocabulary_bank import bank_for_training, bank_of_names

Annotations = Mapping[str, Any]


@dataclass(frozen=True)
class PreparedSplits:
    """What each stage sees; calibration_set is the beginning of a random draw from qat_set."""

    train_set: PreparedSplit
    qat_set: PreparedSplit
    calibration_set: PreparedSplit
    val_set: PreparedSplit


@dataclass(frozen=True)
class EmbeddedVocabulary:
    """Prompts and their embeddings, row for row."""

    vocabulary: Vocabulary
    text_bank: TextBank


def check_data(splits: Mapping[str, tuple[Annotations, ImageFolder]], spec: FetchDataSpec) -> dict[str, Any]:
    """Check every file of every split; raises AnnotationError with all faults of the first split that has some."""
    report: dict[str, Any] = {"source": spec.source}
    for name, (content, images) in splits.items():
        federated = is_federated(content)
        summary = check_annotations(
            content, images, federated=federated, decode_images=spec.decode_every_image and not federated
        )
        report[name] = {**vars(summary), "federated": federated, "annotations_sha256": json_digest(content)}
        sources = (content.get("info") or {}).get("sources")
        if sources:
            report[name]["sources"] = sources
    return report


def prepare_splits(
    train: Annotations, qat: Annotations, val: Annotations, spec: DataPrepSpec, run: RunSpec
) -> PreparedSplits:
    """QAT keeps the categories that its images contain: that is the narrower vocabulary of its data."""
    present = {box["category_id"] for box in qat["annotations"]}
    num_images = spec.qat_images or len(qat["images"])
    qat_set = prepare_split(qat, present, num_images, derive_seed(run.seed, "qat_set"))
    return PreparedSplits(
        train_set=prepare_split(train),
        qat_set=qat_set,
        calibration_set=_calibration_set(qat_set, spec.calibration_images),
        val_set=prepare_split(val, keep_images_without_boxes=True),
    )


def _calibration_set(qat_set: PreparedSplit, num_images: int) -> PreparedSplit:
    """The first images; of a vocabulary of phrases, which is too large to ask about at once, only their own part."""
    images = qat_set.images[:num_images]
    categories = qat_set.categories
    if any(category.is_phrase for category in categories):
        present = set(images.box_category_ids.tolist())
        categories = tuple(category for category in categories if category.id in present)
    return PreparedSplit(images=images, categories=categories)


def embed(annotations: Annotations, encoder: TextEncoderSpec) -> EmbeddedVocabulary:
    """The vocabulary of an annotation file, with one embedding per prompt."""
    vocabulary = vocabulary_from_annotations(annotations)
    bank = bank_of_names(encoder.build(), vocabulary)
    return EmbeddedVocabulary(vocabulary, bank)


def embed_qat_prompts(qat_set: PreparedSplit, spec: DataPrepSpec, validation: EmbeddedVocabulary) -> EmbeddedVocabulary:
    """The prompts of the QAT data: those of the validation annotations, or its own where `spec.qat_prompts` says so.

    The first rows are the names in order; synonyms and the padding prompt follow.
    """
    own = spec.qat_prompts
    if own is None:
        return validation
    vocabulary = qat_set.vocabulary
    encoder = spec.text_encoders[own.text_encoder].build()
    bank = bank_for_training(encoder, vocabulary, own.synonyms, own.padding_prompt, own.cache)
    return EmbeddedVocabulary(vocabulary, bank)


def training_vocabulary(split: PreparedSplit, vocabulary: Vocabulary, prompt_split: str | None = None) -> Vocabulary:
    """The prompts that training on this split may name: its own categories, and those of a named vocabulary split.

    Raises ValueError for a split that the vocabulary does not have.
    """
    chosen = {category.id for category in split.categories}
    if prompt_split is not None:
        if prompt_split not in vocabulary.splits:
            raise ValueError(
                f"prompt_split names a split of the vocabulary ({', '.join(vocabulary.splits) or 'it has none'}); got "
                f"{prompt_split!r}. Leave it out to ask only about the data's own categories."
            )
        chosen |= set(vocabulary.splits[prompt_split])
    return restrict_vocabulary(vocabulary, sorted(chosen))
