"""Published files arrive whole, once, and by their digests; a server on loopback stands for the public ones."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from crqat_pipeline.detection_data.published import (
    PublishedFiles,
    PublishedFilesError,
    describe,
    fetch_published,
    look_before,
    missing_in,
    read_file_list,
)
from crqat_pipeline.runtime import resumable
from tests.support.file_server import ServedFiles, serve
from tests.support.published_photographs import contents, write_list

PHOTOGRAPH, ADDRESS = "coco_photos/images/train2017/000000000009.jpg", "train2017/000000000009.jpg"
ARCHIVE = "annotations.zip"


@pytest.fixture
def served() -> Iterator[ServedFiles]:
    with serve(contents()) as running:
        yield running


@pytest.fixture
def files(served: ServedFiles, tmp_path: Path) -> PublishedFiles:
    return read_file_list(write_list(tmp_path / "list.json", served.url, served.contents))


def all_files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_everything_is_fetched_and_made_and_a_second_run_fetches_nothing(
    served: ServedFiles, files: PublishedFiles, tmp_path: Path
) -> None:
    folder = tmp_path / "photos"
    assert fetch_published(files, folder) == 5
    assert all_files(folder) == {file.path for _, file in files.all_files()} | {one.path for one in files.made}
    asked = len(served.asked)
    assert not look_before(files, folder)
    assert fetch_published(files, folder) == 0
    (folder / "downloads" / ARCHIVE).unlink()  # it has done its work
    assert fetch_published(files, folder) == 0
    assert len(served.asked) == asked


def test_annotations_are_those_of_the_photographs_in_their_order(files: PublishedFiles, tmp_path: Path) -> None:
    fetch_published(files, tmp_path)
    train = json.loads((tmp_path / "coco_photos/annotations/instances_train.json").read_text())
    assert [image["id"] for image in train["images"]] == [9, 25]
    assert train["images"][0]["file_name"] == PHOTOGRAPH
    assert [box["id"] for box in train["annotations"]] == [900, 901, 902, 2500, 2501, 2502]
    assert train["annotations"][0]["area"] == 40.5
    assert "segmentation" not in train["annotations"][0]
    assert len(train["categories"]) == 3
    lvis = json.loads((tmp_path / "coco_mini/annotations/lvis_style_val.json").read_text())
    (image,) = lvis["images"]
    assert image["file_name"] == "val2017/000000000139.jpg"
    assert (image["neg_category_ids"], image["not_exhaustive_category_ids"]) == ([], [1])
    assert [(box["image_id"], box["category_id"]) for box in lvis["annotations"]] == [(139, 2)]


def test_a_cut_download_is_told_and_goes_on_where_it_stopped(
    served: ServedFiles, files: PublishedFiles, tmp_path: Path
) -> None:
    served.cut[ADDRESS] = 2000
    with pytest.raises(PublishedFilesError, match=rf"1 of 5 .*\n  {PHOTOGRAPH}: .*\nTry again \(nothing is fetched tw"):
        fetch_published(files, tmp_path)
    assert not (tmp_path / PHOTOGRAPH).exists()
    assert fetch_published(files, tmp_path) == 1
    assert (tmp_path / PHOTOGRAPH).read_bytes() == served.contents[ADDRESS]
    assert served.bytes_of(ADDRESS) == 5000, "the first 2000 bytes were not sent again"


def test_a_file_that_changed_between_two_attempts_is_not_joined(
    served: ServedFiles, files: PublishedFiles, tmp_path: Path
) -> None:
    served.cut[ADDRESS] = 2000
    good = served.contents[ADDRESS]
    served.contents[ADDRESS] = b"x" * len(good)
    with pytest.raises(PublishedFilesError):
        fetch_published(files, tmp_path)
    served.contents[ADDRESS], served.versions[ADDRESS] = good, "2"
    fetch_published(files, tmp_path)
    assert (tmp_path / PHOTOGRAPH).read_bytes() == good


def test_a_file_that_changes_while_it_is_fetched_is_refused(
    served: ServedFiles, files: PublishedFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resumable, "BLOCK_BYTES", 1000)
    served.versions = _ChangingVersions(ADDRESS)
    with pytest.raises(PublishedFilesError, match="changed while it was fetched"):
        fetch_published(files, tmp_path)
    assert not (tmp_path / PHOTOGRAPH).exists()


class _ChangingVersions(dict[str, str]):
    """Another version with every question about one file."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self.path, self.number = path, 0

    def get(self, key: str, default: str = "") -> str:  # type: ignore[override]
        self.number += key == self.path
        return str(self.number) if key == self.path else default


def test_another_content_than_the_listed_one_is_refused_and_not_kept(
    served: ServedFiles, files: PublishedFiles, tmp_path: Path
) -> None:
    served.contents[ADDRESS] = served.contents[ADDRESS][::-1] + b"!"
    with pytest.raises(PublishedFilesError, match=r"has sha256 \w+, not "):
        fetch_published(files, tmp_path)
    assert not [name for name in all_files(tmp_path) if "000000000009" in name]
    assert len(missing_in(files, tmp_path).files) == 1, "the others are there"


def test_a_damaged_file_is_fetched_again(served: ServedFiles, files: PublishedFiles, tmp_path: Path) -> None:
    fetch_published(files, tmp_path)
    (tmp_path / PHOTOGRAPH).write_bytes(b"\0" * 5000)
    assert fetch_published(files, tmp_path) == 1
    assert (tmp_path / PHOTOGRAPH).read_bytes() == served.contents[ADDRESS]


def test_what_cannot_be_had_is_said_before_anything_starts(
    served: ServedFiles, files: PublishedFiles, tmp_path: Path
) -> None:
    del served.contents[ARCHIVE]
    folder = tmp_path / "photos"
    with pytest.raises(PublishedFilesError, match=r"nothing was run.\n  annotations \(2 files\): http.*404"):
        look_before(files, folder)
    assert not folder.exists()


def test_servers_that_do_not_answer_are_not_asked_for_everything(tmp_path: Path) -> None:
    served = contents()
    files = read_file_list(write_list(tmp_path / "list.json", "http://127.0.0.1:9/", served))
    with pytest.raises(PublishedFilesError, match="the others were not tried"):
        fetch_published(files, tmp_path / "photos")
    with pytest.raises(PublishedFilesError, match=r"annotations .*\n  train photographs .*\n  val photographs"):
        look_before(files, tmp_path / "photos")


def test_of_two_processes_one_fetches_and_the_other_waits(
    served: ServedFiles, files: PublishedFiles, tmp_path: Path
) -> None:
    code = (
        "import sys; from pathlib import Path; "
        "from crqat_pipeline.detection_data.published import fetch_published, read_file_list; "
        "print(fetch_published(read_file_list(Path(sys.argv[1])), Path(sys.argv[2])))"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "list.json"), str(tmp_path / "photos")]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    assert sorted(int(one.communicate()[0]) for one in running) == [0, 5]
    assert all(served.bytes_of(address) == len(content) for address, content in served.contents.items())
    assert not [name for name in all_files(tmp_path / "photos") if ".part" in name]


def test_size_origin_and_licence_are_told(files: PublishedFiles, tmp_path: Path) -> None:
    told = describe(missing_in(files, tmp_path / "photos"), tmp_path / "photos")
    assert "5 files" in told
    assert "licence: CC BY 4.0" in told


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"downloads/lvis.json", "lvis', '"../lvis.json", "lvis', "lie below one folder"),
        ('"base": "http', '"base": "ftp', "should match pattern"),
        ('"photographs": "val', '"photographs": "test', "made of files that stand before it"),
        ('{"sets"', '{"set"', "sets: field required"),
        ('{"sets"', '"sets"', "JSON cannot be read"),
    ],
)
def test_a_list_that_is_none_is_refused(
    files: PublishedFiles, tmp_path: Path, old: str, new: str, message: str
) -> None:
    path = tmp_path / "list.json"
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")
    with pytest.raises(ValueError, match=message):
        read_file_list(path)
