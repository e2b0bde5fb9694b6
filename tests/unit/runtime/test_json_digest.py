import hashlib
import json

import pytest

from crqat_pipeline.runtime import json_digest as module
from crqat_pipeline.runtime.json_digest import json_digest


@pytest.mark.parametrize(
    "document",
    [{}, {"a": []}, {"b": [{"y": 1, "x": "ü"}] * 7, "a": {"z": None}, "c": 1.5}, {"images": [[1, 2], "x", {}]}],
)
def test_it_is_the_digest_of_the_whole_text(document, monkeypatch):
    monkeypatch.setattr(module, "RECORDS_PER_TEXT", 3)
    assert json_digest(document) == hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()
