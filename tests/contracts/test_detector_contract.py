"""Every row of FAMILIES keeps the promises of the protocol: the checks that packages outside run on their own rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import torch

from crqat_pipeline.detectors import FAMILIES, build_detector
from crqat_pipeline.testing import FAMILY_CHECKS, FILE_CHECKS, META_CHECKS, lively

Options = Mapping[str, Any]
ROWS = [(family, *row) for family in FAMILIES.values() for row in family.tested]
META_ROWS = [*ROWS, *((family, *row) for family in FAMILIES.values() for row in family.meta_tested)]


@pytest.fixture(autouse=True)
def _is_installed(request: pytest.FixtureRequest) -> None:
    family = request.node.callspec.params.get("family") if hasattr(request.node, "callspec") else None
    if family is not None and family.missing_modules:
        pytest.skip(f"the family {family.name} needs {' and '.join(family.missing_modules)}, not installed here")


def _id(value: object) -> str:
    if isinstance(value, Mapping):
        return ",".join(f"{key}={one}" for key, one in value.items()) or "defaults"
    return str(getattr(value, "name", value))


@pytest.mark.parametrize("promise", META_CHECKS)
@pytest.mark.parametrize(("family", "name", "options"), META_ROWS, ids=_id)
def test_what_a_detector_says_of_itself(family: Any, name: str, options: Options, promise: str) -> None:
    with torch.device("meta"):
        detector = family.detectors[name](**options)
    META_CHECKS[promise](detector)


@pytest.mark.parametrize("promise", FAMILY_CHECKS)
@pytest.mark.parametrize(("family", "name", "options"), ROWS, ids=_id)
def test_what_a_detector_does(family: Any, name: str, options: Options, promise: str) -> None:
    FAMILY_CHECKS[promise](lively(family.detectors[name], options))


@pytest.mark.parametrize("promise", FILE_CHECKS)
@pytest.mark.parametrize(("family", "name", "options"), ROWS, ids=_id)
def test_what_its_files_do(family: Any, name: str, options: Options, promise: str) -> None:
    FILE_CHECKS[promise](lively(family.detectors[name], options), name, options)


def test_an_unknown_detector_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(ValueError, match=r"Did you mean 'yolo_world_s'"):
        build_detector("yolo_wrld_s")


def test_a_file_of_a_package_that_is_not_installed_says_what_to_install() -> None:
    with pytest.raises(ValueError, match="pip install nanodet-elsewhere"):
        build_detector("nanodet_of_elsewhere", package="nanodet-elsewhere")
