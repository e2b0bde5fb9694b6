"""The readers that the run will come to, run now: what fetch_data refuses, data_prep embeds and scoring reads."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

from crqat_pipeline.detection_data.annotation_agreement import category_faults
from crqat_pipeline.detection_data.annotation_faults import AnnotationError
from crqat_pipeline.detection_data.annotation_file import AnnotationFile
from crqat_pipeline.detection_data.image_folder import ImageFolder
from crqat_pipeline.dry_run.findings import DryRunReport
from crqat_pipeline.dry_run.subject import DryRunSubject
from crqat_pipeline.evaluation import evaluate
from crqat_pipeline.evaluation.detection_table import DetectionTable
from crqat_pipeline.recipes.data import check_data, embed
from crqat_pipeline.recipes.evaluation_run import PROTOCOL
from crqat_pipeline.recipes.specs import DataPrepSpec, EvaluationSpec, FetchDataSpec
from crqat_pipeline.text_encoders.table import OmDetTurboTextSpec, OpenClipSpec

NAMES = MappingProxyType({"train": "train", "qat": "qat", "val": "val", "val, LVIS": "val_lvis"})
"""Split of the dry run -> that of fetch_data."""
SCORED = MappingProxyType({"val": "coco", "val, LVIS": "lvis"})
"""Split -> benchmark whose annotations it holds."""
NOTHING = DetectionTable(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros((0, 4)), np.zeros(0))


def run_readers(subject: DryRunSubject, report: DryRunReport) -> None:
    """Adds what a run would stop at, hours later. Files that cannot be opened, and sources of many, are told elsewhere.

    Images are looked for by name; whether each can be decoded is fetch_data's to find out.
    """
    files = _files(subject)
    if not files:
        return
    by_name = {NAMES[name]: one for name, one in files.items()}
    if subject.fetch_data is not None:
        try:
            check_data(by_name, FetchDataSpec(source="files", decode_every_image=False))
        except AnnotationError as error:
            report.missing.append(str(error))
            return
    contents = {name: content for name, (content, _) in files.items()}
    if subject.data_prep is not None:
        _embed(subject.data_prep, contents, report)
    if subject.evaluation is not None:
        _score(subject.evaluation, contents, report)


def _files(subject: DryRunSubject) -> dict[str, tuple[AnnotationFile, ImageFolder]]:
    found = {}
    for name in (one for one in subject.splits if one in NAMES):
        split = subject.splits[name]
        try:
            content, images = split.annotations(), split.images()
        except Exception:  # told where the files are counted
            continue
        if isinstance(content, AnnotationFile):
            found[name] = (content, images)
    return found


def _embed(spec: DataPrepSpec, contents: Mapping[str, Any], report: DryRunReport) -> None:
    """The names that no embedding is there for; a text tower, which takes minutes, has one for every name."""
    if spec.qat_prompts is None and {"qat", "val"} <= contents.keys():
        faults = [fault.of("qat") for fault in category_faults(contents["qat"], contents["val"], "val")]
        if faults:
            report.missing.append(str(AnnotationError(faults)))
    for name, encoder in (("val", spec.encoder), ("val, LVIS", spec.lvis_encoder)):
        if name not in contents or isinstance(encoder, OpenClipSpec | OmDetTurboTextSpec):
            continue
        try:
            embed(contents[name], encoder)
        except (ValueError, OSError) as error:
            line = f"prompts of {name}: {error}"
            if not any(str(error) in told for told in report.missing):
                report.missing.append(line)


def _score(spec: EvaluationSpec, contents: Mapping[str, Any], report: DryRunReport) -> None:
    """The evaluation of no detection at all reads everything that the real one will."""
    protocols = PROTOCOL | {"lvis": spec.lvis_protocol}
    for name, benchmark in SCORED.items():
        if name not in contents:
            continue
        try:
            evaluate(contents[name], NOTHING, protocols[benchmark], spec.backend)
        except (ValueError, ImportError) as error:
            report.missing.append(f"scoring of {name}: {error}")
