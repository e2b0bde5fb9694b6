"""Every model of this project as a model of detectron2, and its data in detectron2's catalogs.

Importing this needs detectron2; nothing else of the project imports it.
"""

from crqat_pipeline.inference.detectron2_bridge.data import (
    UnchangedImages,
    register_annotations,
)
from crqat_pipeline.inference.detectron2_bridge.model import (
    META_ARCHITECTURE,
    Detectron2Model,
    add_crqat_config,
    lazy_model,
    open_for_detectron2,
)

__all__ = [
    "META_ARCHITECTURE",
    "Detectron2Model",
    "UnchangedImages",
    "add_crqat_config",
    "lazy_model",
    "open_for_detectron2",
    "register_annotations",
]
