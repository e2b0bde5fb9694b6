"""Columns that are mapped are those that were written, and are views of the file."""

import numpy as np

from crqat_pipeline.detection_data.split_columns import map_columns, write_columns
from tests.support.tiny_study import study_problem


def test_a_mapped_split_is_the_one_that_was_written(tmp_path):
    split = study_problem(tmp_path, renders=False).qat.split
    write_columns(tmp_path / "split.arrow", split)
    mapped = map_columns(tmp_path / "split.arrow")
    assert mapped == split
    assert repr(mapped) == repr(split)


def test_a_part_of_a_split_is_written_as_that_part(tmp_path):
    split = study_problem(tmp_path, renders=False).qat.split.part(0.25, 0.75)
    write_columns(tmp_path / "split.arrow", split)
    assert map_columns(tmp_path / "split.arrow") == split


def test_numbers_are_not_copied(tmp_path):
    write_columns(tmp_path / "split.arrow", study_problem(tmp_path, renders=False).qat.split)
    ids = map_columns(tmp_path / "split.arrow").images.ids
    assert not ids.flags.owndata
    assert not np.shares_memory(ids, map_columns(tmp_path / "split.arrow").images.ids)
