"""Entries that are one entry: read from their parts, found again among them, the same in another process."""

from __future__ import annotations

import pickle
from collections import namedtuple

import pytest
from kedro.io import DataCatalog, DatasetError

from crqat_pipeline.catalog_io.gathered import GatheredDataset, parts_of
from crqat_pipeline.catalog_io.json_document import JsonDocument

Pair = namedtuple("Pair", "left right")


@pytest.fixture
def catalog(tmp_path):
    made = DataCatalog({name: JsonDocument(filepath=str(tmp_path / f"{name}.json")) for name in ("a", "b", "c")})
    for name, entries in (("pair", {"left": "a", "right": "b"}), ("both", {"left": "pair", "right": "c"})):
        parts = {role: made.get(entry) for role, entry in entries.items()}
        made[name] = GatheredDataset(makes=Pair, parts=parts, entries=entries)
    return made


def test_it_is_what_its_parts_hold_now(catalog):
    for name in "abc":
        catalog.save(name, {"is": name})
    assert catalog.load("both") == Pair(Pair({"is": "a"}, {"is": "b"}), {"is": "c"})
    catalog.save("a", {"is": "other"})
    assert catalog.load("pair").left == {"is": "other"}
    assert pickle.loads(pickle.dumps(catalog.get("both"))).load() == catalog.load("both")


def test_saving_leaves_the_files_to_the_parts(catalog):
    catalog.save("pair", Pair({}, {}))
    assert not catalog.exists("pair")
    with pytest.raises(DatasetError, match=r"a\.json"):
        catalog.load("pair")


def test_the_parts_are_found_at_any_depth_and_other_names_stay(catalog):
    assert sorted(parts_of(["both", "a", "params:x", "nowhere"], catalog)) == [
        "a",
        "a",
        "b",
        "c",
        "nowhere",
        "params:x",
    ]
