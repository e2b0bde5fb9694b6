"""LAYOUTS: the layouts in which training data is published. A new one is a row, and a file if it needs a reader."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from crqat_pipeline.detection_data.sources.categories import read_categories
from crqat_pipeline.detection_data.sources.grounding import read_grounding
from crqat_pipeline.detection_data.sources.layout import SourceLayout
from crqat_pipeline.detection_data.sources.records import SourceRecords
from crqat_pipeline.detection_data.sources.source_files import SourceFiles
from crqat_pipeline.runtime.lookup import look_up

LAYOUTS: Mapping[str, SourceLayout] = MappingProxyType(
    {
        "objects365": SourceLayout(
            "Objects365 v2",
            read_categories,
            num_images=1_742_289,
            num_categories=365,
            missing_images=(  # every known reader of Objects365 v2 leaves these three out
                "patch6/objects365_v1_00320532.jpg",
                "patch6/objects365_v1_00320534.jpg",
                "patch16/objects365_v2_00908726.jpg",
            ),
            has_spelled_names=True,
        ),
        "coco": SourceLayout("COCO", read_categories, num_images=118_287, num_categories=80),
        "lvis": SourceLayout(
            "LVIS v1", read_categories, num_images=100_170, num_categories=1203, has_spelled_names=True
        ),
        "grounding": SourceLayout(
            "MDETR's captions with phrases: GQA (final_mixed_train_no_coco), Flickr30k (separateGT)",
            read_grounding,
            num_images=621_189,  # of GQA
        ),
    }
)


def read_source(source: str, files: SourceFiles) -> SourceRecords:
    """Records of one source by its layout.

    Raises ValueError for an unknown layout and for a file that is not there or no JSON, AnnotationError (all faults,
    with counts) for what the reader of the layout refuses.
    """
    layout = look_up(LAYOUTS, files.layout, "source layout")
    return layout.read(source, files, layout)
