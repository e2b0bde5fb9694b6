"""The visible table of detector families, and the detectors that they and other packages bring.

A row is a family of this package. Families of other packages are found by the entry point group OUTSIDE_GROUP, in every
process that asks; each entry point names a DetectorFamily. Names of this package win.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from types import MappingProxyType
from typing import Any

from crqat_pipeline.detectors.detectron2_retinanet.family import DETECTRON2_RETINANET
from crqat_pipeline.detectors.dosod.family import DOSOD
from crqat_pipeline.detectors.family import DetectorFamily
from crqat_pipeline.detectors.omdet_turbo.family import OMDET_TURBO
from crqat_pipeline.detectors.protocol import OpenVocabularyDetector
from crqat_pipeline.detectors.yolo_world.family import YOLO_WORLD
from crqat_pipeline.runtime.lookup import look_up

logger = logging.getLogger(__name__)

OUTSIDE_GROUP = "crqat_pipeline.detectors"

FAMILIES: Mapping[str, DetectorFamily] = MappingProxyType(
    {row.name: row for row in (YOLO_WORLD, DOSOD, OMDET_TURBO, DETECTRON2_RETINANET)}
)

SMALL_DETECTOR = "yolo_world_open_shapes"
"""For photographs without ready weights: trained from scratch on a processor in minutes."""


def detector_families() -> Mapping[str, DetectorFamily]:
    """Families of other installed packages and FAMILIES, by name; a name of this package wins."""
    return {**_outside_families(), **FAMILIES}


def family_of(detector_name: str, package: str | None = None) -> DetectorFamily:
    """The family that brings this detector.

    package: the distribution that a file says the detector came from. Raises ValueError for an unknown name, with the
    nearest one and what to install.
    """
    for family in FAMILIES.values():
        if detector_name in family.detectors:
            return family
    owners = {name: family for family in detector_families().values() for name in family.detectors}
    if detector_name not in owners and package is not None:
        raise ValueError(
            f"The detector {detector_name!r} is of the package {package}, which is not installed here or no longer "
            f"brings it. Install it: pip install {package}."
        )
    try:
        return look_up(owners, detector_name, "detector")
    except ValueError as error:
        raise ValueError(
            f"{error} Detectors of other packages are found once these are installed (entry points {OUTSIDE_GROUP!r})."
        ) from None


def build_detector(name: str, *, package: str | None = None, **options: Any) -> OpenVocabularyDetector:
    """A new detector with random weights, in training mode.

    Options are those of the family's builder. Raises ValueError for an unknown name (see `family_of`) or an option that
    does not validate.
    """
    return family_of(name, package).detectors[name](**options)


def _outside_families() -> Mapping[str, DetectorFamily]:
    return _loaded(tuple(entry_points(group=OUTSIDE_GROUP)))


@cache
def _loaded(points: tuple[EntryPoint, ...]) -> Mapping[str, DetectorFamily]:
    """A package that cannot be loaded is told and left out: it must not take the others with it."""
    found: dict[str, DetectorFamily] = {}
    for point in points:
        package = point.dist.name if point.dist is not None else "an unknown package"
        try:
            family = point.load()
        except Exception as error:  # whatever a foreign package does at import
            logger.warning("Detectors of %s were left out: loading %r failed: %s", package, point.value, error)
            continue
        if not isinstance(family, DetectorFamily):
            logger.warning(
                "Detectors of %s were left out: an entry point of %r names a DetectorFamily; %r is a %s.",
                package,
                OUTSIDE_GROUP,
                point.value,
                type(family).__name__,
            )
            continue
        found.setdefault(family.name, replace(family, package=package))
    return MappingProxyType(found)
