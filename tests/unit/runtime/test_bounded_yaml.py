"""YAML files that would take all memory, or that say two things at once: one sentence that names the file."""

import time

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from crqat_pipeline.hooks.environment_merge import EnvironmentConfigLoader
from crqat_pipeline.runtime.bounded_yaml import read_yaml

BOMB = "a0: &a0 [x, x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 60))
REFUSED = {
    "a bomb": (BOMB, "unfolds to more than"),
    "a bomb of mappings": (
        BOMB.replace("[*", "{p: *").replace(", *", ", q: *").replace("]", "}", 60),
        "unfolds|no YAML",
    ),
    "contains itself": ("a: &a [*a, *a]\n", "contains itself"),
    "deep": ("a: " + "[" * 400 + "]" * 400, "50 levels"),
    "very deep": ("a: " + "[" * 50_000, "50 levels"),
    "a key twice": ("run:\n  seed: 1\n  device: cpu\n  seed: 2\n", "'seed' twice, the second time at line 4"),
    "no YAML": ("run: [1\nx", "no YAML: .* at line 2"),
    "not UTF-8": (b"name: caf\xe9\n", "UTF-8; it is not at byte 9"),
    "a tab": ("run:\n\tseed: 1\n", "no YAML"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_it_is_one_sentence_and_soon(tmp_path, kind):
    content, text = REFUSED[kind]
    path = tmp_path / "parameters.yml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    start_s = time.process_time()
    with pytest.raises(ValueError, match=text) as refusal:
        read_yaml(path)
    assert time.process_time() - start_s < 3
    assert str(path) in str(refusal.value)
    assert "\n" not in str(refusal.value)


@given(
    st.recursive(
        st.none() | st.integers() | st.text(max_size=5),
        lambda one: st.lists(one) | st.dictionaries(st.text(max_size=3), one),
    )
)
@settings(max_examples=50, deadline=None)
def test_whatever_yaml_writes_is_taken(tmp_path_factory, value):
    path = tmp_path_factory.mktemp("yaml") / "file.yml"
    path.write_text(yaml.safe_dump(value, allow_unicode=True), encoding="utf-8")
    read_yaml(path)


def test_the_loader_of_the_project_looks_first(tmp_path):
    for folder in ("base", "local"):
        (tmp_path / folder).mkdir()
    (tmp_path / "base" / "parameters.yml").write_text(BOMB)
    loader = EnvironmentConfigLoader(str(tmp_path), base_env="base", default_run_env="local")
    with pytest.raises(ValueError, match="unfolds to more than"):
        loader["parameters"]


def test_merge_keys_and_aliases_are_ordinary(tmp_path):
    path = tmp_path / "parameters.yml"
    path.write_text("_a: &a {x: 1}\n_b: &b {y: 2}\nc:\n  <<: *a\n  <<: *b\n  z: *a\n")
    read_yaml(path)
