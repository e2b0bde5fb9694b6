"""`${...}` that unfolds without bound is refused by source and key, at once; what the files of conf/ do is not."""

import random
import time
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from crqat_pipeline.hooks.environment_merge import EnvironmentConfigLoader
from crqat_pipeline.hooks.interpolation_check import check_interpolations


def doubled(last="x", times=60, form="${%s}${%s}"):
    keys = {f"a{n}": form % (f"a{n - 1}", f"a{n - 1}") for n in range(1, times)}
    return {"a0": last, **keys}


BOMBS = {
    "texts": doubled(),
    "from the last to the first": dict(reversed(doubled().items())),
    "lists": {"a0": "x", **{f"a{n}": [f"${{a{n - 1}}}"] * 2 for n in range(1, 60)}},
    "mappings": {"a0": "x", **{f"a{n}": {"p": f"${{a{n - 1}}}", "q": f"${{a{n - 1}}}"} for n in range(1, 60)}},
    "brackets": doubled(form="${[%s]}${[%s]}"),
    "relative": {"s": doubled(form="${.%s}${.%s}")},
    "relative, two up": {"s": {f"a{n}": {"v": f"${{..a{n - 1}.v}}" * 2 if n else "x"} for n in range(60)}},
    "by another name": {**doubled(form="${${n}%s}${${n}%s}"), "n": ""},
    "inside a name": {"n": "x", "b": "${c.${a59}}", **doubled()},
    "arguments": doubled(form="${product:${%s},${%s}}"),
    "a select": doubled(form="${oc.select:%s}${oc.select:%s}"),
    "a long text": {"t": "x" * 100_000, "u": "${t}" * 60},
    "a long expression": {"t": "x", "u": ["${t}" + "${p:" + "1," * 5_000 + "1}"] * 10},
    "many": {"t": "x", "u": ["${t}"] * 6_000},
    "deep": {"t": "${" * 400 + "x" + "}" * 400},
    "a long chain": {"a0": "x", **{f"a{n}": f"${{a{n - 1}}}" for n in range(150, 0, -1)}},
}


@pytest.mark.parametrize("kind", BOMBS)
def test_a_bomb_is_one_sentence_and_soon(kind):
    start_s = time.process_time()
    with pytest.raises(ValueError, match=r"here\.yml") as refusal:
        check_interpolations({"here.yml": BOMBS[kind]})
    assert time.process_time() - start_s < 3
    assert "\n" not in str(refusal.value)
    assert len(str(refusal.value)) < 400


def test_it_may_be_spread_over_files_and_the_command_line():
    whole = doubled()
    halves = [dict(list(whole.items())[part::2]) for part in (0, 1)]
    check_interpolations({"one": halves[0]})
    with pytest.raises(ValueError, match=r"one|two"):
        check_interpolations(dict(zip(("one", "two"), halves, strict=True)))
    check_interpolations({"p": {"x": "${globals:a59}"}})
    with pytest.raises(ValueError, match=r"globals\.yml"):
        check_interpolations({"p": {"x": "${globals:a59}"}}, {"globals": {"globals.yml": whole}})


@pytest.mark.parametrize("seed", range(40))
def test_what_it_lets_pass_is_resolved_soon(seed):
    """Random webs of keys: refused, or resolved by OmegaConf in the time that the bound promises."""
    rng = random.Random(seed)
    names = [f"k{n}" for n in range(rng.randint(3, 25))]

    def value(depth=0):
        kind = rng.random()
        if kind < 0.2:
            return "".join(rng.choices("ab", k=rng.randint(0, 20)))
        if kind < 0.75 or depth > 2:
            return "-".join(f"${{{rng.choice(names)}}}" for _ in range(rng.randint(1, 3)))
        if kind < 0.85:
            return {"x": value(depth + 1), "y": value(depth + 1)}
        return [value(depth + 1) for _ in range(rng.randint(1, 3))]

    content = {name: value() for name in names}
    start_s = time.process_time()
    try:
        check_interpolations({"web": content})
    except ValueError:
        return
    finally:
        assert time.process_time() - start_s < 3
    with suppress(OmegaConfBaseException):  # keys in a ring
        OmegaConf.to_container(OmegaConf.create(content), resolve=True)
    assert time.process_time() - start_s < 20


@given(st.dictionaries(st.text(max_size=3), st.text(alphabet="ab${}.:,[]' \\", max_size=20), max_size=6))
@settings(max_examples=100, deadline=None, derandomize=True)
def test_any_text_is_looked_at_without_a_fault(content):
    check_interpolations({"any": content})


def test_the_loader_looks_before_anything_is_resolved(tmp_path):
    for folder in ("base", "local"):
        (tmp_path / folder).mkdir()
    (tmp_path / "base" / "parameters.yml").write_text("x: 1\n")

    def loader(**params):
        return EnvironmentConfigLoader(str(tmp_path), base_env="base", default_run_env="local", runtime_params=params)

    start_s = time.process_time()
    with pytest.raises(ValueError, match="--params"):
        loader(**doubled(), quantization={"bits": "${a59}"})["parameters"]
    lines = "".join(f"{key}: {value}\n" for key, value in doubled().items())
    (tmp_path / "base" / "globals.yml").write_text("extends: ${a59}\n" + lines)
    with pytest.raises(ValueError, match=r"globals\.yml"):
        loader()
    assert time.process_time() - start_s < 5
