"""Deliverables are named by the bits that they hold: crqat.int8.safetensors and crqat.int8.onnx of a run at 8-8-8.

The names in the catalog are those of 4-4-8. A stage that DVC runs keeps them: dvc.yaml has names for all widths, and
DVC's cache keeps the files of each apart.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl

from crqat_pipeline.catalog_io.artifact import ArtifactFile
from crqat_pipeline.hooks.checks.parameter_check import written_parameters

ENTRIES = ("int4_model", "onnx_model", "model_card")
CATALOGS_MARK = "int4"
SECTION = "quantization"
DVC_STAGE = "DVC_STAGE"
"""DVC sets it for the commands that it runs."""


class OutputNames:
    """Renames ENTRIES of the catalog for other widths than those of its own names."""

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        self._environ = environ
        self._mark = CATALOGS_MARK

    @hook_impl
    def after_context_created(self, context: KedroContext) -> None:
        from crqat_pipeline.quantization import QuantSpec

        section = written_parameters(context).get(SECTION)
        try:
            self._mark = CATALOGS_MARK if section is None else QuantSpec.model_validate(section).file_mark
        except ValueError:
            self._mark = CATALOGS_MARK  # the check of the parameters says what is wrong

    @hook_impl(tryfirst=True)  # before entries are gathered
    def after_catalog_created(self, catalog: Any) -> None:
        if self._mark == CATALOGS_MARK or self._environ.get(DVC_STAGE):
            return
        for name in ENTRIES:
            entry = catalog.get(name) if name in catalog else None
            if isinstance(entry, ArtifactFile):
                catalog[name] = entry.marked(self._mark)
