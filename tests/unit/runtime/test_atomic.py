"""Files appear whole or not at all, also when the disk is full."""

import errno

import pytest

from crqat_pipeline.runtime.atomic import atomic_path


def write_half(target, error):
    with atomic_path(target) as temporary:
        temporary.write_text("half of the n")
        raise error


def test_a_full_disk_leaves_the_old_file_and_says_what_to_do(tmp_path):
    target = tmp_path / "weights.bin"
    target.write_text("old")
    with pytest.raises(OSError, match=r"Could not write .*weights\.bin: No space left.*choose another data_root"):
        write_half(target, OSError(errno.ENOSPC, "No space left on device"))
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_any_other_error_leaves_nothing_behind(tmp_path):
    with pytest.raises(KeyError):
        write_half(tmp_path / "weights.bin", KeyError("x"))
    assert list(tmp_path.iterdir()) == []


def test_others_may_read_what_a_library_wrote_for_its_owner_alone(tmp_path):
    target = tmp_path / "weights.bin"
    with atomic_path(target) as temporary:
        temporary.write_text("new")
        temporary.chmod(0o600)
    assert target.stat().st_mode & 0o044
