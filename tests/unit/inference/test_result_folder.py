"""Results never take the place of what somebody else put there, and are kept whatever stops the command."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crqat_pipeline.inference.result_folder import OutputError, open_results
from crqat_pipeline.inference.result_lines import ResultLines


def draw(folder, file, name, content="drawn"):
    """What a command does with one image."""
    place = folder.place(name, None)
    folder.temporary(place).write_text(content)
    folder.finish(file, {"image": str(file), "drawn": str(place), "detections": []}, place)
    return place


@pytest.fixture
def album(tmp_path):
    folder = tmp_path / "album"
    folder.mkdir()
    for name in ("a.jpg", "b.tiff"):
        (folder / name).write_text(f"photograph {name}")
    return folder


def pairs(album):
    return [
        (file, file.relative_to(album))
        for file in sorted(album.rglob("*.*"))
        if file.suffix in (".jpg", ".tiff", ".png")
    ]


def test_the_folder_of_the_sources_is_refused_however_it_is_named(album, tmp_path, monkeypatch):
    (tmp_path / "link").symlink_to(album)
    monkeypatch.chdir(album)
    for out in (album, tmp_path / "link", album / ".." / "album", album / "../link"):
        with open_results(out) as folder, pytest.raises(OutputError, match="folder that images are read from"):
            folder.sources(pairs(album), [album])


def test_a_file_whose_result_would_replace_it_is_refused(album, tmp_path):
    os.link(album / "a.jpg", tmp_path / "a.jpg")
    for out in (album, tmp_path):  # itself, and another name of the same content
        with open_results(out) as folder, pytest.raises(OutputError, match=r"a\.jpg would take its place"):
            folder.sources([(album / "a.jpg", Path("a.jpg"))], [album / "a.jpg"])


def test_a_folder_inside_the_album_holds_results_only(album):
    found = album / "found"
    with open_results(found) as folder:
        sources = folder.sources(pairs(album), [album])
        folder.begin("x", sources)
        for file, name in sources:
            draw(folder, file, name)
        folder.write_document({"model": "m"}, [file for file, _ in sources])
    with open_results(found) as folder:
        assert folder.sources(pairs(album), [album]) == sources, "what was drawn is not looked at"
    (found / "mine.jpg").write_text("photograph")
    with open_results(found) as folder, pytest.raises(OutputError, match=r"mine\.jpg would be looked at"):
        folder.sources(pairs(album), [album])


def test_results_above_the_sources_are_welcome(album, tmp_path):
    with open_results(tmp_path) as folder:
        assert folder.sources(pairs(album), [album]) == pairs(album)


def test_files_of_others_stay_and_ours_are_replaced(album, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (tmp_path / "victim").write_text("precious")
    (out / "a.jpg").symlink_to(tmp_path / "victim")
    (out / "b.png").write_text("somebody's")
    for content in ("first", "second"):
        with open_results(out) as folder:
            folder.begin("x", [])
            places = [draw(folder, file, name, content) for file, name in pairs(album)]
            folder.write_document({"model": "m"}, [file for file, _ in pairs(album)])
        assert [place.name for place in places] == ["a-2.jpg", "b-2.png"]
        assert [place.read_text() for place in places] == [content] * 2
    assert (tmp_path / "victim").read_text() == "precious"
    assert (out / "b.png").read_text() == "somebody's"
    assert {path.name for path in out.iterdir()} == {"a.jpg", "b.png", "a-2.jpg", "b-2.png", "detections.json"}


def test_ours_are_known_from_another_working_directory(album, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for out in (Path("out"), tmp_path / "out"):
        with open_results(out) as folder:
            folder.begin("x", [])
            assert draw(folder, album / "a.jpg", Path("a.jpg")).name == "a.jpg"
            folder.write_document({"model": "m"}, [album / "a.jpg"])


def test_a_linked_folder_that_leads_out_is_refused(album, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "deep").symlink_to(album)
    with open_results(out) as folder, pytest.raises(ValueError, match="leads out of"):
        folder.place(Path("deep/a.jpg"), None)


def test_places_that_cannot_be_written_are_explained(tmp_path):
    (tmp_path / "file").write_text("")
    for out, text in (
        (tmp_path / "file" / "out", "cannot be written into"),
        (tmp_path / ("x" * 300), "cannot be written into"),
        (album_document(tmp_path / "one", "[]"), "was not made by crqat detect"),
        (album_document(tmp_path / "two", None), "is not a file"),
    ):
        with pytest.raises(OutputError, match=text), open_results(out):
            pass
    lines = tmp_path / "three" / "detections.jsonl"
    lines.parent.mkdir()
    lines.write_text("my notes")
    with pytest.raises(ValueError, match="holds something else"), open_results(lines.parent):
        pass
    assert lines.read_text() == "my notes"


def album_document(folder, text):
    folder.mkdir()
    if text is None:
        (folder / "detections.json").mkdir()
    else:
        (folder / "detections.json").write_text(text)
    return folder


def test_two_commands_do_not_share_a_folder(tmp_path):
    code = "import sys; from pathlib import Path; from crqat_pipeline.inference.result_folder import *\n"
    code += "try:\n with open_results(Path(sys.argv[1])): pass\nexcept OutputError as error: print(error)"
    with open_results(tmp_path):
        second = subprocess.run([sys.executable, "-c", code, tmp_path], capture_output=True, text=True, check=True)
    assert "Another command is writing" in second.stdout


def test_what_is_done_is_not_done_again_unless_it_changed(album, tmp_path):
    out = tmp_path / "out"
    files = pairs(album)
    with open_results(out) as folder:
        folder.begin("x", files)
        for file, name in files:
            draw(folder, file, name)
    with open_results(out) as folder:
        assert folder.begin("another command", files) == files
    (album / "b.tiff").write_text("another photograph")
    with open_results(out) as folder:
        assert folder.begin("x", files) == files[1:]
        assert draw(folder, *files[1]).name == "b.png"
        document = folder.write_document({"model": "m", "prompts": ["p"]}, [file for file, _ in files])
    content = json.loads(document.read_text())
    assert [record["image"] for record in content["images"]] == [str(file) for file, _ in files]
    assert (content["model"], content["prompts"]) == ("m", ["p"])


RECORDS = st.lists(
    st.tuples(st.text(max_size=8), st.integers(1, 3), st.text(max_size=20)),
    min_size=1,
    max_size=6,
    unique_by=lambda r: r[0],
)


@settings(max_examples=60, deadline=None)
@given(RECORDS, st.data())
def test_a_file_cut_anywhere_keeps_every_whole_source(tmp_path_factory, records, data):
    path = tmp_path_factory.mktemp("lines") / "detections.jsonl"
    lines, ends = ResultLines(path), []
    for name, count, text in records:
        for number in range(count):
            lines.add({"image": name, "frame": number, "text": text}, {"n": 1} if number == count - 1 else None)
        ends.append(path.stat().st_size)
    lines.close()
    cut = data.draw(st.integers(0, path.stat().st_size))
    os.truncate(path, cut)
    again = ResultLines(path)
    whole = [name for (name, _, _), end in zip(records, ends, strict=True) if end <= cut]
    assert list(again.files) == whole
    for name, count, text in records[len(whole) :]:
        for number in range(count):
            again.add({"image": name, "frame": number, "text": text}, {"n": 1} if number == count - 1 else None)
    wanted = [{"image": name, "frame": n, "text": text} for name, count, text in records for n in range(count)]
    assert list(again.records(name for name, _, _ in records)) == wanted
    again.close()
