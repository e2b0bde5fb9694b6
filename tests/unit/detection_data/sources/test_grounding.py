"""Phrases of captions as categories, in MDETR's layout."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from crqat_pipeline.detection_data import AnnotationError
from crqat_pipeline.detection_data.sources.grounding import phrase_of
from crqat_pipeline.detection_data.sources.spec import SourceSpec
from crqat_pipeline.detection_data.sources.table import read_source
from tests.support.published_layouts import CAPTION, grounding, write_json


def spec(folder: Path, content: dict[str, Any], **options: Any) -> SourceSpec:
    path = write_json(folder / "a.json", content)
    return SourceSpec.model_validate({"layout": "grounding", "annotations": path, "images": folder, **options})


def test_every_phrase_is_a_category_in_order_of_appearance(tmp_path):
    records = read_source("gqa", spec(tmp_path, grounding(2)))
    assert [one["name"] for one in records.categories] == ["red circle", "blue square", "star"]
    assert all(one["is_phrase"] for one in records.categories)
    assert [box["category_id"] for box in records.annotations] == [1, 2, 3, 1, 2, 3]


@pytest.mark.parametrize(
    ("spans", "phrase"),
    [([[2, 12]], "red circle"), ([[24, 28], [29, 35]], "blue square"), ([[1, 6]], "red"), ([[1, 2]], "")],
)
def test_spans_are_joined_in_lower_case(spans, phrase):
    assert phrase_of(CAPTION, spans) == phrase


@pytest.mark.parametrize("spans", [[[40, 90]], [[5, 5]], [[-1, 4]], [[1, 2, 3]], [7], "red", [[0.0, 2.0]]])
def test_spans_that_are_no_range_of_the_caption_are_refused(spans):
    with pytest.raises(ValueError, match="A span"):
        phrase_of(CAPTION, spans)


def test_empty_phrases_and_bad_spans_are_refused_together(tmp_path):
    content = grounding()
    content["annotations"][0]["tokens_positive"] = [[1, 2]]
    content["annotations"][1]["tokens_positive"] = [[40, 90]]
    with pytest.raises(AnnotationError) as refusal:
        read_source("gqa", spec(tmp_path, content))
    assert "1 × has an empty phrase" in str(refusal.value)
    assert "1 × has a span outside its caption" in str(refusal.value)
    repaired = read_source("gqa", spec(tmp_path, content, faulty_boxes="repair"))
    assert len(repaired.annotations) == 10
    assert repaired.left_out["boxes: has an empty phrase"].startswith("1 (gqa: annotation 0")


def test_captions_are_required(tmp_path):
    content = grounding()
    del content["images"][1]["caption"]
    with pytest.raises(AnnotationError, match=r"gqa: images\[1\] lacks caption"):
        read_source("gqa", spec(tmp_path, content))
