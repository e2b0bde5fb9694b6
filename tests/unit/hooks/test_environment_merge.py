"""Environments change single values, and whole rows of tables."""

import pytest
import yaml
from kedro.config import MissingConfigException
from mlflow.tracking import MlflowClient

from crqat_pipeline.hooks.environment_merge import EnvironmentConfigLoader, merged


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


@pytest.fixture
def loader(tmp_path):
    """Makes a loader over conf/ files given as {"base/globals": {...}}."""

    def make(files, env):
        for name, content in files.items():
            path = tmp_path / f"{name}.yml"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(yaml.safe_dump(content), encoding="utf-8")
        return EnvironmentConfigLoader(str(tmp_path), env=env, base_env="base", default_run_env="local")

    return make


FILES = {
    "base/globals": {"data_root": "data"},
    "base/parameters": {"train": {"steps": 1, "rate": 0.5}},
    "shared/globals": {"size": "none", "factor": 3},
    "shared/parameters": {"_rate": 0.25, "train": {"steps": "${globals:factor}", "rate": "${_rate}"}},
    "large/globals": {"extends": "shared", "size": "l", "data_root": "data/l"},
}


def test_an_environment_starts_from_the_one_it_extends(loader):
    large = loader(FILES, "large")
    assert large["globals"] == {"data_root": "data/l", "size": "l", "factor": 3, "extends": "shared"}
    assert large["parameters"] == {"train": {"steps": 3, "rate": 0.25}}
    assert loader({"large/parameters": {"train": {"rate": 9}}}, "large")["parameters"]["train"]["rate"] == 9


def test_a_row_that_the_environment_names_leaves_the_parents_options_out(loader):
    parent = {"detector": {"name": "${globals:size}", "options": {"version": 1}}, "run": {"seed": 3}}
    own = {"detector": {"name": "other", "options": {}}}
    files = FILES | {"shared/parameters": parent, "large/parameters_own": own}
    parameters = loader(files, "large")["parameters"]
    assert parameters["detector"] == {"name": "other", "options": {}}
    assert parameters["run"]["seed"] == 3


def test_an_environment_without_a_parent_is_as_before(loader):
    assert loader(FILES | {"small/globals": {}}, "small")["parameters"] == {"train": {"steps": 1, "rate": 0.5}}


def test_a_parent_that_is_missing_or_has_a_parent_is_refused(loader):
    with pytest.raises(MissingConfigException, match="does not exist"):
        loader(FILES | {"large/globals": {"extends": "shard"}}, "large")["parameters"]
    with pytest.raises(MissingConfigException, match="extends large, which must not extend another"):
        loader(FILES | {"larger/globals": {"extends": "large"}}, "larger")["parameters"]


def test_options_of_a_parents_row_do_not_leak_past_another_name(loader):
    files = {
        "base/parameters": {
            "detector": {"name": "a", "options": {"of_a": 1}},
            "encoders": {"e": {"name": "x", "of_x": 1}},
        },
        "mid/globals": {"data_root": "mid"},
        "mid/parameters": {
            "detector": {"name": "b", "options": {"of_b": 2}},
            "encoders": {"e": {"name": "y", "of_y": 2}},
        },
        "low/globals": {"extends": "mid"},
        "low/parameters": {"detector": {"name": "c"}, "encoders": {"e": {"name": "z", "of_z": 3}}},
        "local/parameters": {},
    }
    found = loader(files, "low")["parameters"]
    assert found["detector"] == {"name": "c"}
    assert found["encoders"] == {"e": {"name": "z", "of_z": 3}}


def test_a_name_on_the_command_line_replaces_the_row(loader):
    files = {
        "base/parameters": {"detector": {"name": "a", "options": {"of_a": 1}}},
        "mid/globals": {"data_root": "mid"},
        "mid/parameters": {"detector": {"name": "b", "options": {"of_b": 2}}},
        "local/parameters": {},
    }
    made = loader(files, "mid")
    made.runtime_params = {"detector": {"name": "c"}}
    assert made["parameters"]["detector"] == {"name": "c"}


def test_bits_in_one_word_stand_for_three_parameters_and_the_later_wins(tmp_path):
    for env, text in (
        ("base", "{weight_bits: 4, activation_bits: 4, attention_bits: 8}"),
        ("eight", "{bits: 8-8-8}"),
        ("mixed", "{bits: 8-8-8, activation_bits: 6}"),
    ):
        (tmp_path / env).mkdir()
        (tmp_path / env / "parameters.yml").write_text(f"quantization: {text}\n", encoding="utf-8")

    def bits(env, **params):
        given = {"quantization": params} if params else {}
        loader = EnvironmentConfigLoader(str(tmp_path), env=env, base_env="base", default_run_env="base",
            runtime_params=given, merge_strategy={"parameters": "soft"})  # fmt: skip
        section = loader["parameters"]["quantization"]
        assert set(section) == {"weight_bits", "activation_bits", "attention_bits"}
        return tuple(section[f"{name}_bits"] for name in ("weight", "activation", "attention"))

    assert bits("base") == (4, 4, 8)
    assert bits("eight") == (8, 8, 8)
    assert bits("mixed") == (8, 6, 8)
    assert bits("base", bits="3-3-8") == (3, 3, 8)
    assert bits("eight", weight_bits=5) == (5, 8, 8)
    with pytest.raises(ValueError, match="4-4-8"):
        bits("base", bits="8-8")
