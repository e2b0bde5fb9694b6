"""Nodes of the data_prep stage."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from crqat_pipeline.detection_data.prepared_split import PreparedSplit
from crqat_pipeline.recipes import data
from crqat_pipeline.recipes.specs import DataPrepSpec, RunSpec
from crqat_pipeline.structures.vocabulary import TextBank, Vocabulary

Annotations = Mapping[str, Any]


def prepare_splits(
    spec: DataPrepSpec, run: RunSpec, report: Mapping[str, Any], train: Annotations, qat: Annotations, val: Annotations
) -> tuple[PreparedSplit, PreparedSplit, PreparedSplit, PreparedSplit]:
    """Teacher's, QAT's, calibration's and validation's images. `report`: the data was checked."""
    splits = data.prepare_splits(train, qat, val, spec, run)
    return splits.train_set, splits.qat_set, splits.calibration_set, splits.val_set


def embed_vocabularies(
    spec: DataPrepSpec, report: Mapping[str, Any], val: Annotations, val_lvis: Annotations | None
) -> tuple[Vocabulary, TextBank, Vocabulary, TextBank]:
    """Prompts and embeddings of the COCO-format and of the LVIS-format annotations; without these, COCO's."""
    coco = data.embed(val, spec.encoder)
    lvis = coco if val_lvis is None else data.embed(val_lvis, spec.lvis_encoder)
    return coco.vocabulary, coco.text_bank, lvis.vocabulary, lvis.text_bank


def embed_qat_prompts(
    spec: DataPrepSpec, qat_set: PreparedSplit, vocabulary: Vocabulary, text_bank: TextBank
) -> tuple[Vocabulary, TextBank]:
    """Prompts and embeddings of the QAT images: those of the COCO-format annotations, or their own."""
    own = data.embed_qat_prompts(qat_set, spec, data.EmbeddedVocabulary(vocabulary, text_bank))
    return own.vocabulary, own.text_bank
