"""Data in: render or accept it, check it, choose what each stage sees, embed the vocabulary."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from crqat_pipeline.detection_data.annotated_vocabulary import restrict_vocabulary, vocabulary_from_annotations
from crqat_pipeline.detection_data.annotation_agreement import category_faults, image_faults, records_of
from crqat_pipeline.detection_data.annotation_checks import Examined, Role, examine
from crqat_pipeline.detection_data.annotation_faults import AnnotationError, Fault
from crqat_pipeline.detection_data.annotation_file import AnnotationFile, is_federated
from crqat_pipeline.detection_data.box_columns import integers
from crqat_pipeline.detection_data.image_folder import ImageFolder
from crqat_pipeline.detection_data.prepared_split import PreparedSplit, prepare_split
from crqat_pipeline.recipes.specs import DataPrepSpec, FetchDataSpec, RunSpec
from crqat_pipeline.runtime.json_digest import json_digest
from crqat_pipeline.runtime.seeding import derive_seed
from crqat_pipeline.structures.vocabulary import TextBank, Vocabulary
from crqat_pipeline.text_encoders.table import TextEncoderSpec
from crqat_pipeline.text_encoders.vocabulary_bank import bank_for_training, bank_of_names

logger = logging.getLogger(__name__)

Annotations = Mapping[str, Any]

ROLES: Mapping[str, Role] = {"train": "training", "qat": "training", "val": "validation", "val_lvis": "lvis"}
"""Split -> what its file must be fit for."""


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
    """Check every file of every split; raises AnnotationError with the faults of all of them, by file.

    A file that serves two splits is looked at once.
    """
    report: dict[str, Any] = {"source": spec.source}
    examined: dict[_Key, Examined] = {}
    faults: list[Fault] = []
    keys = {name: _key(name, *split) for name, split in splits.items()}
    labels = {key: _label([name for name in keys if keys[name] == key], key.source) for key in keys.values()}
    for name, (content, images) in splits.items():
        key, records = keys[name], records_of(content)
        federated = is_federated(records)
        if key not in examined:
            decode = spec.decode_every_image and not federated
            examined[key] = examine(content, images, key.role, decode_images=decode)
            faults += [fault.of(labels[key]) for fault in examined[key].faults]
        found = examined[key]
        report[name] = {**vars(found.summary), "federated": federated, "annotations_sha256": json_digest(records)}
        sources = (records.get("info") or {}).get("sources")
        report[name] |= {"sources": sources} if sources else {}
        report[name] |= {"left_out": dict(found.left_out)} if found.left_out else {}
    _tell_left_out({labels[key]: found.left_out for key, found in examined.items() if found.left_out})
    faults += _disagreements(splits)
    if faults:
        raise AnnotationError(faults)
    return report


class _Key(NamedTuple):
    """What an examination depends on."""

    source: str
    images: str
    role: Role


def _key(split: str, annotations: Annotations, images: ImageFolder) -> _Key:
    source = annotations.source if isinstance(annotations, AnnotationFile) else ""
    return _Key(source or split, repr(images), ROLES.get(split, "any"))


def _label(splits: Sequence[str], source: str) -> str:
    return " and ".join(splits) + (f" ({source})" if source not in splits else "")


def _tell_left_out(by_file: Mapping[str, Mapping[str, str]]) -> None:
    lines = [f"  {file}: {reason}: {which}" for file, left_out in by_file.items() for reason, which in left_out.items()]
    if lines:
        logger.warning("Records with faults were repaired or left out:\n%s", "\n".join(lines))


def _disagreements(splits: Mapping[str, tuple[Annotations, ImageFolder]]) -> list[Fault]:
    """Training categories are asked for by the prompts of val; the images of val are scored by both its files."""
    looks = {"train": category_faults, "val_lvis": image_faults}
    return [
        fault.of(_label([name], _key(name, *splits[name]).source))
        for name, look in looks.items()
        if name in splits and "val" in splits
        for fault in look(splits[name][0], splits["val"][0], "val")
    ]


def prepare_splits(
    train: Annotations, qat: Annotations, val: Annotations, spec: DataPrepSpec, run: RunSpec
) -> PreparedSplits:
    """QAT keeps the categories that its images contain: that is the narrower vocabulary of its data.

    Raises AnnotationError for categories that are not those of val, unless the QAT data has prompts of its own.
    """
    if spec.qat_prompts is None:
        faults = [fault.of("qat") for fault in category_faults(qat, val, "val")]
        if faults:
            raise AnnotationError(faults)
    present = set(integers(qat["annotations"], "category_id").tolist())
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
    """The vocabulary of an annotation file, with one embedding per prompt.

    Raises ValueError for categories of different names that get the same embedding: no detector can tell them apart.
    LVIS has some of the same prompt on purpose ("bow"); those are counted.
    """
    vocabulary = vocabulary_from_annotations(annotations)
    bank = bank_of_names(encoder.build(), vocabulary)
    _tell_shared_prompts(vocabulary, bank)
    return EmbeddedVocabulary(vocabulary, bank)


def _tell_shared_prompts(vocabulary: Vocabulary, bank: TextBank) -> None:
    rows: dict[bytes, list[int]] = {}
    for column, row_D in enumerate(bank.embeddings_KD[: len(vocabulary)].numpy()):
        rows.setdefault(row_D.tobytes(), []).append(column)
    shared = [[vocabulary.names[column] for column in columns] for columns in rows.values() if len(columns) > 1]
    different = [names for names in shared if len(set(names)) > 1]
    if different:
        shown = "; ".join(" and ".join(map(repr, names[:4])) for names in different[:5])
        raise ValueError(
            f"Every category needs an embedding of its own; {bank.encoder!r} has one for several: {shown}. "
            "Embed their exact names, or give them names that differ by more than their spelling."
        )
    if shared:
        shown = ", ".join(repr(names[0]) for names in shared[:5])
        logger.warning(
            "%d prompts stand for several categories each, which share their detections: %s", len(shared), shown
        )


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
