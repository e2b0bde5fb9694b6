"""What a dry run looks at: the pieces of a configured run, whoever configured it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from crqat_pipeline.detection_data.image_folder import ImageFolder
from crqat_pipeline.detection_data.prepared_split import PreparedSplit
from crqat_pipeline.quantization import QuantSpec
from crqat_pipeline.recipes.specs import (
    DataPrepSpec,
    EvaluationSpec,
    FetchDataSpec,
    NamedBuilderSpec,
    QatStageSpec,
    RunSpec,
    TeacherSpec,
)


@dataclass(frozen=True)
class InputEntry:
    """Something that must lie on disk before the run: a given file, or the result of an earlier run."""

    name: str
    paths: tuple[Path, ...]
    missing: tuple[str, ...]


@dataclass(frozen=True)
class SplitEntry:
    """Annotations and images of one split, loaded when they are counted."""

    annotations: Callable[[], Mapping[str, Any]]
    images: Callable[[], ImageFolder]


@dataclass(frozen=True)
class DryRunSubject:
    """stages: training stages by name, in the order of the run. splits: those that lie on disk, by name.

    qat_set: the prepared QAT images, where an earlier run has made them. Sections that no pipeline uses are None.
    """

    title: str
    data_root: Path
    run: RunSpec
    inputs: tuple[InputEntry, ...] = ()
    fetch_data: FetchDataSpec | None = None
    data_prep: DataPrepSpec | None = None
    detector: NamedBuilderSpec | None = None
    teacher: TeacherSpec | None = None
    quantization: QuantSpec | None = None
    evaluation: EvaluationSpec | None = None
    stages: Mapping[str, QatStageSpec] = field(default_factory=dict)
    splits: Mapping[str, SplitEntry] = field(default_factory=dict)
    qat_set: Callable[[], PreparedSplit] | None = None
    images_per_second: float | None = None
