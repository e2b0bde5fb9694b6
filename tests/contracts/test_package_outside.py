"""A family of a package outside is found wherever detectors are named, and keeps the promises of the protocol."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

import pytest
from click.testing import CliRunner

from crqat_pipeline.cli import crqat
from crqat_pipeline.detectors import FAMILIES, build_detector, family_of
from crqat_pipeline.detectors.protocol import OpenVocabularyDetector
from crqat_pipeline.testing import check_family
from tests.support.dvc_agreement import load_catalog
from tests.support.foreign_package import put_on_path

NAME = "nanodet_m"


@pytest.fixture(autouse=True)
def package(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put_on_path(project / "examples" / "nanodet", tmp_path / "site", monkeypatch)


def embedding_dim(size: int) -> int:
    """What a spawned worker answers."""
    return build_detector(NAME, embedding_dim=size).embedding_dim


def test_the_row_is_found_and_says_where_it_is_from() -> None:
    family = family_of(NAME)
    assert (family.name, family.package) == ("nanodet", "crqat-nanodet")
    assert family.name not in FAMILIES
    assert isinstance(build_detector(NAME, embedding_dim=8), OpenVocabularyDetector)


def test_it_keeps_the_promises_of_the_protocol() -> None:
    check_family(family_of(NAME))


def test_a_spawned_worker_finds_it() -> None:
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.apply(embedding_dim, (8,)) == 8


def test_the_command_line_finds_it() -> None:
    shown = CliRunner().invoke(crqat, ["cost", "--detector", NAME, "--image-size", "64", "--prompts", "3"])
    assert shown.exit_code == 0, shown.output
    assert NAME in shown.output


def test_kedro_finds_it(project: Path) -> None:
    row = load_catalog(project, "photos", {"photos": "/photos"}).load("params:detector")
    assert (row.name, build_detector(row.name, **row.options).embedding_dim) == (NAME, 512)
