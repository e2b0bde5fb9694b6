"""One source of training data, as the catalog describes it."""

from __future__ import annotations

from pydantic import field_validator

from crqat_pipeline.detection_data.sources.source_files import SourceFiles
from crqat_pipeline.detection_data.sources.table import LAYOUTS
from crqat_pipeline.runtime.lookup import look_up


class SourceSpec(SourceFiles):
    """Files of a layout that is a row of LAYOUTS."""

    @field_validator("layout")
    @classmethod
    def _layout_is_known(cls, layout: str) -> str:
        look_up(LAYOUTS, layout, "source layout")
        return layout
