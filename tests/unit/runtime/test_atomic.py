"""Files appear whole or not at all, also when the disk is full."""

import errno

import pytest

from crqat_pipeline.runtime.atomic import CouldNotWriteError, atomic_path, check_writable


def write_half(target, error):
    with atomic_path(target) as temporary:
        temporary.write_text("half of the n")
        raise error


def test_a_full_disk_leaves_the_old_file_and_says_what_to_do(tmp_path):
    target = tmp_path / "weights.bin"
    target.write_text("old")
    with pytest.raises(
        OSError, match=r"Could not write .*weights\.bin: No space left.*choose another place \(data_root"
    ):
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


@pytest.mark.parametrize("kind", ["a folder", "below a file", "a name without end"])
def test_a_place_that_cannot_be_written_is_told_before_and_while_it_is_written(tmp_path, kind):
    (tmp_path / "file").write_text("x")
    (tmp_path / "folder").mkdir()
    target = {"a folder": "folder", "below a file": "file/x", "a name without end": "x" * 300}[kind]
    with pytest.raises(CouldNotWriteError) as refusal:
        check_writable(tmp_path / target)
    assert str(refusal.value).startswith(f"Could not write {tmp_path / target}: ")
    with pytest.raises(CouldNotWriteError, match="Could not write"), atomic_path(tmp_path / target) as temporary:
        temporary.write_text("new")
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["file", "folder"]


def test_looking_whether_a_file_can_be_written_leaves_it_as_it_was(tmp_path):
    target = tmp_path / "new" / "weights.bin"
    check_writable(target)
    assert list(tmp_path.iterdir()) == []
    target.parent.mkdir()
    target.write_text("old")
    check_writable(target)
    assert target.read_text() == "old"


def test_a_result_does_not_take_the_place_of_a_source_or_of_a_link_to_it(tmp_path):
    (tmp_path / "source").write_text("old")
    (tmp_path / "link").symlink_to(tmp_path / "source")
    for name in ("source", "link"):
        with pytest.raises(ValueError, match="does not take the place of its source"):
            check_writable(tmp_path / name, [tmp_path / "other", tmp_path / "source"])


def test_a_link_is_replaced_and_what_it_points_to_stays(tmp_path):
    (tmp_path / "source").write_text("old")
    (tmp_path / "link").symlink_to(tmp_path / "source")
    with atomic_path(tmp_path / "link") as temporary:
        temporary.write_text("new")
    assert ((tmp_path / "source").read_text(), (tmp_path / "link").read_text()) == ("old", "new")
