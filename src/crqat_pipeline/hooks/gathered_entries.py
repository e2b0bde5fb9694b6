"""Puts the entries that are made of others into the catalog (recipes/gathered.py)."""

from __future__ import annotations

from typing import Any

from kedro.framework.hooks import hook_impl

from crqat_pipeline.catalog_io.gathered import GatheredDataset


class GatheredEntries:
    """An environment that changes a part, such as where the images lie, changes what is gathered with it."""

    @hook_impl(tryfirst=True)
    def after_catalog_created(self, catalog: Any) -> None:
        from crqat_pipeline.recipes.gathered import GATHERED

        for name, (makes, entries) in GATHERED.items():
            if all(entry in catalog for entry in entries.values()):
                parts = {role: catalog.get(entry) for role, entry in entries.items()}
                catalog[name] = GatheredDataset(makes=makes, parts=parts, entries=entries)
