"""A packed file as a LoggedModel: it answers a picture, and the best of an experiment is the champion."""

import base64
import io
import json
import sys

import mlflow
import pandas as pd
import pytest
from fastapi.testclient import TestClient
from kedro.io import DataCatalog
from mlflow.pyfunc import scoring_server
from mlflow.tracking import MlflowClient
from PIL import Image

from crqat_pipeline.catalog_io.artifact import ArtifactFile
from crqat_pipeline.catalog_io.json_document import JsonDocument
from crqat_pipeline.hooks.tracking.guard import TrackingGuard
from crqat_pipeline.hooks.tracking.logged_model import log_model
from crqat_pipeline.hooks.tracking.model_shelf import Candidate, ModelShelf
from crqat_pipeline.model_files.packed import write_packed
from crqat_pipeline.structures.vocabulary import TextBank
from tests.support.small_students import NAME, minmax_spec, small_inputs, small_student

CANDIDATE = Candidate(form="int4", entry="int4_model")
WORDS = ("red ring", "blue moon", "green star", "old hat", "new shoe")


@pytest.fixture(scope="module")
def packed(tmp_path_factory):
    path = tmp_path_factory.mktemp("packed") / "crqat.int4.safetensors"
    write_packed(
        path,
        small_student(minmax_spec()),
        detector_name=NAME,
        detector_options={"version": 2},
        quantization=minmax_spec(),
        text_bank=TextBank(WORDS, small_inputs()[1], "test", is_normalized=False),
        extra_metadata={"image_size_px": 96},
    )
    return path


@pytest.fixture
def experiment(mlflow_store, tmp_path, monkeypatch):
    """Its files stay in the test's folder, and code that a loaded model brings is forgotten afterwards."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    mlflow.set_tracking_uri(mlflow_store)
    mlflow.create_experiment("shelf", artifact_location=(tmp_path / "artifacts").as_uri())
    return mlflow.set_experiment("shelf").experiment_id


@pytest.fixture
def client(mlflow_store):
    return MlflowClient(tracking_uri=mlflow_store)


@pytest.fixture
def shelf(client, experiment, tmp_path):
    guard = TrackingGuard()
    guard.reset(tmp_path)
    return ModelShelf(guard, client, experiment, "shelf")


def picture() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (80, 60), "red").save(buffer, format="PNG")
    return buffer.getvalue()


def test_the_model_of_a_file_answers_a_picture(packed, client, experiment):
    run_id = client.create_run(experiment).info.run_id
    model_id = log_model(packed, run_id, {"bits": "4-4-8"})
    logged = client.get_logged_model(model_id)
    assert (logged.source_run_id, logged.tags["bits"]) == (run_id, "4-4-8")
    assert [one.model_id for one in client.get_run(run_id).outputs.model_outputs] == [model_id]
    model = mlflow.pyfunc.load_model(f"models:/{model_id}")
    assert model.metadata.signature.inputs.input_names() == ["image"]
    asked = {"prompts": "red ring, old hat", "score_threshold": 0.0, "max_detections": 3}
    (found,) = model.predict(pd.DataFrame({"image": [picture()]}), params=asked)["detections"]
    assert len(found) == 3
    assert {row["prompt"] for row in found} <= {"red ring", "old hat"}
    assert all(0 <= side <= 80 for row in found for side in row["box_xyxy_px"])
    json.dumps(found)
    app = scoring_server.init(model)  # what `mlflow models serve` serves
    asked_in_json = {
        "dataframe_split": {"columns": ["image"], "data": [[base64.b64encode(picture()).decode()]]},
        "params": asked,
    }
    answer = TestClient(app).post("/invocations", json=asked_in_json)
    assert answer.status_code == 200, answer.text
    assert answer.json() == {"predictions": [{"detections": found}]}


def test_the_best_version_is_the_champion(packed, client, experiment, shelf, tmp_path):
    truth = tmp_path / "val.json"
    truth.write_text("{}")
    files = {}
    for name in ("first", "worse", "better"):
        files[name] = tmp_path / f"{name}.safetensors"
        files[name].write_bytes(packed.read_bytes())
        run_id = client.create_run(experiment).info.run_id
        client.create_logged_model(experiment, "crqat", run_id, {"file_md5": name})
    champions = []
    for name, ap in (("first", 0.5), ("worse", 0.4), ("better", 0.6)):
        champions.append((register_with(client, experiment, name, ap), champion_of(client)))
    assert champions == [("1", "1"), ("2", "1"), ("3", "3")]
    assert register_with(client, experiment, "better", 0.6) == "3"
    assert len(client.search_model_versions("name = 'shelf'")) == 3
    assert register_with(client, experiment, "worse", 0.1, data="other") == "2"
    assert champion_of(client) == "2"  # measured on other data, AP does not compare: the newest counts


def register_with(client, experiment, digest, ap, data="val"):
    from crqat_pipeline.hooks.tracking.champion import register

    return register(client, experiment, "shelf", digest, "a card", {"AP": str(ap), "val_md5": data})


def champion_of(client):
    return str(client.get_model_version_by_alias("shelf", "champion").version)


def test_a_file_that_nobody_logged_costs_a_warning(packed, shelf, caplog, tmp_path):
    catalog = DataCatalog({"int4_model": ArtifactFile(filepath=str(packed))})
    shelf.promote({"AP": {"int4": 0.5}}, CANDIDATE, catalog, {"bits": "4-4-8"})
    assert "MLflow has no version of crqat.int4.safetensors in the registry shelf." in caplog.text


def test_the_stages_own_card_is_the_text_of_the_version(packed, client, experiment, shelf, tmp_path):
    from crqat_pipeline.hooks.tracking.input_digests import md5

    run_id = client.create_run(experiment).info.run_id
    client.create_logged_model(experiment, "crqat", run_id, {"file_md5": md5(packed)})
    catalog = DataCatalog(
        {
            "int4_model": ArtifactFile(filepath=str(packed)),
            "val_annotations": JsonDocument(filepath=str(tmp_path / "val.json")),
        }
    )
    catalog["val_annotations"].save({})
    shelf.promote({"AP": {"int4": 0.5}}, CANDIDATE, catalog, {"bits": "4-4-8"})
    (version,) = client.search_model_versions("name = 'shelf'")
    assert "Packed student at 4-4-8 bits" in version.description
    assert version.tags["AP"] == "0.500000"
    (tmp_path / "card.md").write_text("# What it was trained on")
    catalog["model_card"] = JsonDocument(filepath=str(tmp_path / "card.md"))
    shelf.promote({"AP": {"int4": 0.5}}, CANDIDATE, catalog, {"bits": "4-4-8"})
    (version,) = client.search_model_versions("name = 'shelf'")
    assert version.description == "# What it was trained on"
