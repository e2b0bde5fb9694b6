"""Entries that always travel together, as one entry: loaded from the files of its parts, so that any process can."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from kedro.io import AbstractDataset


class GatheredDataset(AbstractDataset[Any, Any]):
    """load() calls `makes` with what the parts hold, by their roles.

    entries: role -> name of the part's own entry, which writes it; save() leaves that to it.
    """

    def __init__(
        self, *, makes: Callable[..., Any], parts: Mapping[str, AbstractDataset[Any, Any]], entries: Mapping[str, str]
    ) -> None:
        self._makes, self._parts = makes, dict(parts)
        self.entries = dict(entries)
        self.metadata = {"dvc": {"kind": "undeclared"}}

    def load(self) -> Any:
        return self._makes(**{role: part.load() for role, part in self._parts.items()})

    def save(self, data: Any) -> None:
        """Nothing: the parts are there already."""

    def _exists(self) -> bool:
        return all(part.exists() for part in self._parts.values())

    def _describe(self) -> dict[str, Any]:
        return dict(self.entries)


def parts_of(names: Iterable[str], catalog: Any) -> Iterator[str]:
    """These entries, a gathered one as its parts; one that several have comes several times."""
    for name in names:
        entry = catalog.get(name) if name in catalog else None
        if isinstance(entry, GatheredDataset):
            yield from parts_of(entry.entries.values(), catalog)
        else:
            yield name
