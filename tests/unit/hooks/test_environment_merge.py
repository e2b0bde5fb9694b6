"""Environments change single values, and whole rows of tables."""

from mlflow.tracking import MlflowClient

from crqat_pipeline.hooks.environment_merge import merged


def test_siblings_stay():
    base = {"train": {"steps": 100, "rate": 0.1, "parts": ["a", "b"]}, "seed": 0}
    assert merged(base, {"train": {"steps": 2, "parts": ["a"]}}) == {
        "train": {"steps": 2, "rate": 0.1, "parts": ["a"]},
        "seed": 0,
    }


def test_another_row_brings_its_own_options():
    base = {"encoder": {"name": "composed", "words": ["red"], "dim": 64}}
    assert merged(base, {"encoder": {"name": "clip", "model": "B"}}) == {"encoder": {"name": "clip", "model": "B"}}


def test_the_same_row_keeps_them():
    base = {"detector": {"name": "n", "options": {"version": 2}}}
    override = {"detector": {"name": "n", "options": {"dim": 512}}}
    assert merged(base, override) == {"detector": {"name": "n", "options": {"version": 2, "dim": 512}}}


def test_null_and_scalars_replace():
    assert merged({"a": {"b": 1}, "c": 2}, {"a": None, "c": {"d": 3}}) == {"a": None, "c": {"d": 3}}


def test_an_experiment_of_another_name_keeps_the_place_of_artifacts(dummy, mlflow_store, tmp_path):
    dummy.write("smoke", "mlflow", {"tracking": {"experiment": {"name": "dummy-smoke"}}})
    dummy.run("teacher", env="smoke")
    experiment = MlflowClient(tracking_uri=mlflow_store).get_experiment_by_name("dummy-smoke")
    assert experiment.artifact_location == (tmp_path / "mlartifacts").as_uri()


def test_the_base_is_left_alone():
    base = {"a": {"b": 1}}
    merged(base, {"a": {"b": 2}})
    assert base == {"a": {"b": 1}}
