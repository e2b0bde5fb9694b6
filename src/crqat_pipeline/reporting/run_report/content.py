"""What a report shows, as plain data; every part but the forms may be left empty."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from PIL.Image import Image

from crqat_pipeline.evaluation.alignment import AlignmentSummary
from crqat_pipeline.evaluation.comparison import ShownDetections
from crqat_pipeline.evaluation.confusion import ConfusionRow
from crqat_pipeline.evaluation.levels import LevelFigures
from crqat_pipeline.evaluation.result import EvaluationResult
from crqat_pipeline.reporting.run_report.which_layers import FormLayers


@dataclass(frozen=True)
class ReportForm:
    """One form of the detector: FP teacher, PTQ, QAT, CR-QAT, packed, ONNX.

    size_mb: megabytes of 2^20 bytes. bops_t: 10^12 bit operations per image. latency_ms: per image, on the machine
    that latency_where names. other_figures: title -> AP in [0, 1] by COCO's protocol, beside an evaluation by LVIS's.
    """

    name: str
    evaluation: EvaluationResult
    size_mb: float | None = None
    bops_t: float | None = None
    latency_ms: float | None = None
    other_figures: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class LossCurve:
    """One stage of one training run: steps and, by name, the loss at each of them."""

    stage: str
    steps: Sequence[int]
    losses: Mapping[str, Sequence[float]]


@dataclass(frozen=True)
class GalleryImage:
    """One image and what each form shows in it; forms are drawn in this order, compared with the teacher."""

    title: str
    image: Image
    detections: Mapping[str, ShownDetections]


@dataclass(frozen=True)
class HeatMapRow:
    """One image as a similarity heat map of each form, all rows and forms with the same colour range; the image itself
    may come first."""

    title: str
    pictures: Mapping[str, Image]


@dataclass(frozen=True)
class ReportData:
    """forms: in the order of the table; teacher names the one the others are compared with, main the one the report
    is about. facts: short lines for the head (detector, data, seed, commit). alignment: by form, against the teacher.
    split_meanings: category split -> what its categories are. confusions: see confusion.confusion_rows.
    heat_map_range: similarities of the darkest and the brightest colour. levels: form -> level of the pyramid ->
    figures. layers: form -> its quantizers and what they move. latency_where: the machine and runtime of latency_ms.
    deployed: the form whose latency is compared with the teacher's, the one that runs integers (fake-quantized forms
    simulate them and are slower). score_threshold: what the gallery shows.
    """

    title: str
    forms: Sequence[ReportForm]
    teacher: str
    main: str
    facts: Mapping[str, str] = field(default_factory=dict)
    split_meanings: Mapping[str, str] = field(default_factory=dict)
    loss_curves: Sequence[LossCurve] = ()
    confusions: Sequence[ConfusionRow] = ()
    gallery: Sequence[GalleryImage] = ()
    alignment: Mapping[str, AlignmentSummary] = field(default_factory=dict)
    heat_maps: Sequence[HeatMapRow] = ()
    heat_map_range: tuple[float, float] = (-1.0, 1.0)
    levels: Mapping[str, Mapping[str, LevelFigures]] = field(default_factory=dict)
    layers: Mapping[str, FormLayers] = field(default_factory=dict)
    latency_where: str = ""
    deployed: str | None = None
    score_threshold: float = 0.3

    def __post_init__(self) -> None:
        names = [form.name for form in self.forms]
        if not names or len(set(names)) != len(names):
            raise ValueError(f"A report needs forms with different names; got {names}.")
        for role, name in (("teacher", self.teacher), ("main", self.main), ("deployed", self.deployed)):
            if name is not None and name not in names:
                raise ValueError(f"The report's {role} must be one of its forms {names}; got {name!r}.")
        strangers = [name for name in self.alignment if name not in names]
        if strangers:
            raise ValueError(f"Alignment may only name forms of the report {names}; got {strangers}.")
        measured = {(form.evaluation.protocol, form.evaluation.dataset) for form in self.forms}
        if len(measured) > 1:
            raise ValueError(
                "Forms side by side need one protocol and one data set, or the figures cannot be compared; got "
                f"{sorted(measured)}. Evaluate all forms alike, or write one report for each."
            )

    def form(self, name: str) -> ReportForm:
        return next(form for form in self.forms if form.name == name)
