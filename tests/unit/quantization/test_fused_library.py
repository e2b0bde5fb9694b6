"""The compiled kernel: built when it must be, loaded only from where nobody else can put it."""

from __future__ import annotations

import logging
import os
import stat
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crqat_pipeline.quantization.kernels.fused_library import load_fused
from crqat_pipeline.quantization.kernels.private_cache import content_digest, private_folder, verified

load = load_fused.__wrapped__


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "crqat_pipeline"


@pytest.fixture
def library(cache):
    """A library in a private folder, or a skip where there is no compiler."""
    loaded = load()
    if isinstance(loaded, str):
        pytest.skip(loaded)
    return Path(loaded._name)


def test_it_is_built_once_in_a_folder_of_its_owner_alone(library, cache):
    assert library.parent == cache
    assert stat.S_IMODE(cache.stat().st_mode) == 0o700
    built_ns = library.stat().st_mtime_ns
    assert load()._name == str(library)
    assert library.stat().st_mtime_ns == built_ns
    assert list(cache.iterdir()) == [library]


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_damaged_one_is_built_again_before_it_can_be_loaded(library, data):
    content = library.read_bytes()
    damaged = bytearray(content[: data.draw(st.integers(0, len(content)))])
    if len(damaged) == len(content):
        damaged[data.draw(st.integers(0, len(content) - 1))] ^= 1
    library.unlink()
    library.write_bytes(damaged)
    assert not verified(library)
    assert Path(load()._name).read_bytes() == content


@pytest.mark.parametrize("fault", ["others write", "file others write", "link", "file"])
def test_nothing_is_loaded_from_where_others_may_write(library, cache, tmp_path, fault, caplog):
    if fault == "others write":
        cache.chmod(0o777)
    elif fault == "file others write":
        library.chmod(0o777)
    else:
        moved = cache.rename(tmp_path / "moved")
        if fault == "link":
            cache.symlink_to(moved)
        else:
            cache.write_text("")
    caplog.set_level(logging.INFO)
    loaded = Path(load()._name)
    if fault == "file others write":
        assert stat.S_IMODE(loaded.stat().st_mode) == 0o700
    else:
        assert loaded.parent != cache
        assert "compiled anew for each process" in caplog.text


@pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid() != 0, reason="only root can give files away")
def test_nothing_is_loaded_from_another_user(library, cache):
    os.chown(cache, 65534, 65534)
    assert private_folder()[0] != cache
    os.chown(cache, 0, 0)
    os.chown(library, 65534, 65534)
    assert not verified(library)


def test_without_a_home_a_temporary_folder_serves(monkeypatch):
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", lambda: (_ for _ in ()).throw(RuntimeError("Could not determine home.")))
    folder, reason = private_folder()
    assert "Could not determine home" in reason
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_a_missing_compiler_is_told_in_words(monkeypatch, caplog):
    monkeypatch.setenv("PATH", "/nonexistent")
    assert isinstance(load(), str)
    assert "without its C kernel" in caplog.text
    assert "install one" in caplog.text


def test_a_compiler_that_fails_is_told_in_words(cache, tmp_path, monkeypatch, caplog):
    (tmp_path / "bad").write_text(
        "#!/bin/sh\n[ \"$1\" = --version ] && echo 1 && exit 0\necho 'no such header' >&2; exit 1\n"
    )
    (tmp_path / "bad").chmod(0o755)
    monkeypatch.setenv("CC", str(tmp_path / "bad"))
    assert "no such header" in load()
    assert "no such header" in caplog.text


def test_a_link_is_not_verified(tmp_path):
    file = tmp_path / f"fused-x-{content_digest(b'abc')}.so"
    file.write_bytes(b"abc")
    file.chmod(0o700)
    assert verified(file)
    link = tmp_path / "link" / file.name
    link.parent.mkdir()
    link.symlink_to(file)
    assert not verified(link)
