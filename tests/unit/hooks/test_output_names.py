"""A run of other widths does not write over the files of 4-4-8."""

import pytest

from tests.support.dvc_agreement import load_catalog


@pytest.mark.parametrize(
    ("quantization", "names"),
    [
        ({}, ["crqat.int4.safetensors", "crqat.onnx", "crqat.int4.md"]),
        ({"bits": "8-8-8"}, ["crqat.int8.safetensors", "crqat.int8.onnx", "crqat.int8.md"]),
        ({"weight_bits": 3}, ["crqat.w3a4.safetensors", "crqat.w3a4.onnx", "crqat.w3a4.md"]),
    ],
)
def test_deliverables_are_named_by_what_they_hold(project, quantization, names):
    catalog = load_catalog(project, "base", {"quantization": quantization} if quantization else {})
    assert [catalog.get(entry).path.name for entry in ("int4_model", "onnx_model", "model_card")] == names


def test_a_stage_of_dvc_keeps_the_names_that_dvc_knows(project, monkeypatch):
    monkeypatch.setenv("DVC_STAGE", "int4_export")
    catalog = load_catalog(project, "base", {"quantization": {"bits": "8-8-8"}})
    assert catalog.get("int4_model").path.name == "crqat.int4.safetensors"
