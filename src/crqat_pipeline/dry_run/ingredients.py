"""The network's weights, the text encoders and the machine: are they there?"""

from __future__ import annotations

import torch

from crqat_pipeline.detectors import build_detector
from crqat_pipeline.detectors.protocol import OpenVocabularyDetector
from crqat_pipeline.detectors.weights.download import cached_file
from crqat_pipeline.dry_run.findings import DryRunReport
from crqat_pipeline.dry_run.subject import DryRunSubject
from crqat_pipeline.recipes.data import embed
from crqat_pipeline.runtime.seeding import derive_seed
from crqat_pipeline.structures.vocabulary import TextBank
from crqat_pipeline.text_encoders.omdet_tower import local_weights
from crqat_pipeline.text_encoders.table import OmDetTurboTextSpec, OpenClipSpec, PrecomputedSpec, TextEncoderSpec


def build_teacher(subject: DryRunSubject, report: DryRunReport) -> OpenVocabularyDetector | None:
    """The full-precision detector, with its weights where they lie on this machine."""
    row = subject.detector
    if row is None:
        return None
    with torch.random.fork_rng():
        torch.manual_seed(derive_seed(subject.run.seed, "teacher", "weights"))
        try:
            detector = build_detector(row.name, **row.options)
        except ValueError as error:
            report.missing.append(f"detector: {error}")
            return None
    weights = subject.teacher.weights if subject.teacher else None
    state = "random; it is trained" if subject.teacher else "random here; the run reads its teacher's checkpoint"
    if weights is not None:
        state = _loaded(detector, weights, _text_bank(subject), report)
    parameters = sum(value.numel() for value in detector.parameters())
    report.add(
        "Detector",
        ("row", "parameters", "weights"),
        [(f"{row.name} {row.options or ''}".strip(), f"{parameters:,}", state)],
    )
    return detector.eval()


def _text_bank(subject: DryRunSubject) -> TextBank | None:
    """The run's prompts in its text space, where both are at hand; None for a text tower, which takes minutes."""
    split = subject.splits.get("val")
    if (
        split is None
        or subject.data_prep is None
        or isinstance(subject.data_prep.encoder, OpenClipSpec | OmDetTurboTextSpec)
    ):
        return None
    try:
        return embed(split.annotations(), subject.data_prep.encoder).text_bank
    except (ValueError, OSError):
        return None  # what is wrong with data or encoder is told where these are looked at


def _loaded(detector: OpenVocabularyDetector, weights: str, text_bank: TextBank | None, report: DryRunReport) -> str:
    try:
        path = cached_file(weights)
    except ValueError as error:
        report.missing.append(f"teacher.weights: {error}")
        return "no such address"
    if path is None or not path.is_file():
        remedy = "fetch it and set teacher.weights to its path" if "://" in weights else "check the path"
        report.missing.append(f"teacher.weights: {weights} is not on this machine ({remedy})")
        return "MISSING; built without weights"
    try:
        detector.load_weights(path, text_bank)
    except (ValueError, OSError) as error:
        report.missing.append(f"teacher.weights: {error}")
        return "do not fit; built without weights"
    return f"read from {path}"


def look_at_encoders(subject: DryRunSubject, report: DryRunReport) -> None:
    """Files of the text encoders that data_prep asks for."""
    prep = subject.data_prep
    if prep is None:
        return
    asked = {"validation": prep.text_encoder, "LVIS": prep.lvis_text_encoder or prep.text_encoder}
    asked["QAT"] = prep.qat_prompts.text_encoder if prep.qat_prompts else prep.text_encoder
    rows = []
    for use, name in asked.items():
        rows.append((use, name, _encoder_state(name, prep.text_encoders[name], report)))
    report.add("Text encoders", ("prompts of", "encoder", "state"), rows)


def _encoder_state(name: str, spec: TextEncoderSpec, report: DryRunReport) -> str:
    if isinstance(spec, OpenClipSpec):
        path = _clip_file(spec)
        if path is not None:
            return f"{spec.model_name}, {path}"
        line = (
            f"data_prep.text_encoders.{name}: weights {spec.pretrained!r} of {spec.model_name} are not on this machine "
            "(fetched at the first run; without a network set `pretrained` to a file)"
        )
        if line not in report.missing:
            report.missing.append(line)
        return f"{spec.model_name}, weights MISSING"
    if isinstance(spec, OmDetTurboTextSpec) and local_weights(spec.source) is None:
        line = (
            f"data_prep.text_encoders.{name}: the files of {spec.source} are not on this machine (fetched at the first "
            "run; without a network set `source` to a folder)"
        )
        if line not in report.missing:
            report.missing.append(line)
        return f"{spec.source} MISSING"
    try:
        encoder = spec.build()
    except (ValueError, OSError) as error:
        line = f"data_prep.text_encoders.{name}: {error}"
        if line not in report.missing:
            report.missing.append(line)
        return "cannot be read" if isinstance(spec, PrecomputedSpec) else "cannot be built"
    return f"{encoder.name}, {encoder.embedding_dim} numbers per prompt"


def _clip_file(spec: OpenClipSpec) -> str | None:
    from crqat_pipeline.text_encoders.clip_cache import local_clip_weights

    path = local_clip_weights(spec.model_name, spec.pretrained)
    return str(path) if path else None
