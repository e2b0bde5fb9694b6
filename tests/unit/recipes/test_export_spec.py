import pytest
from pydantic import ValidationError

from crqat_pipeline.export.onnx import requirements
from crqat_pipeline.recipes.specs import ExportSpec


def refused(text, **facts):
    with pytest.raises(ValidationError, match=text):
        ExportSpec.model_validate({"image_size_px": 128, **facts})


def test_without_onnx_nothing_is_asked_for(monkeypatch):
    monkeypatch.setattr(requirements, "PACKAGES", ("no_such_package",))
    assert ExportSpec.model_validate({"image_size_px": 128, "onnx": None}).onnx is None
    refused(r"no_such_package cannot be found.*crqat-pipeline\[onnx\].*int4_export\.onnx=null", onnx={"form": "auto"})


def test_what_the_graph_takes_fits_the_images_it_is_proved_on():
    spec = ExportSpec.model_validate({"image_size_px": 128, "onnx": {"image_size_px": [128, 128], "batch_size": 4}})
    assert (spec.onnx.form, spec.onnx.batch_size) == ("auto", 4)
    refused(r"onnx\.image_size_px is \[128, 128\].*got \[128, 96\]", onnx={"image_size_px": [128, 96]})
    refused("a graph for 33 images needs as many parity_images; got 32", onnx={"batch_size": 33})
    refused("form", onnx={"form": "fats"})
