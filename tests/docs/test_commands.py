"""Every command that README and docs show is run, or its page says why not, and is looked at all the same."""

from __future__ import annotations

import gzip
import json
import shutil

import pytest

from tests.conftest import PROJECT
from tests.support.command_checks import RUNNABLE, look_at, run
from tests.support.foreign_package import put_on_path
from tests.support.own_photographs import NAMES, write_photographs
from tests.support.shown_commands import pages, read_page

pytestmark = pytest.mark.slow

PAGES = {page.name: page for page in pages(PROJECT)}


@pytest.fixture(scope="module")
def folder(whole_run, tmp_path_factory):
    """A project after the smoke run, with the files that the pages name, small ones."""
    import torch

    from crqat_pipeline.model_files import write_text_bank
    from crqat_pipeline.structures.vocabulary import TextBank

    copied = whole_run.copy(tmp_path_factory.mktemp("commands") / "project")
    folder, data = copied.folder, copied.data
    made = write_photographs(folder / "made")
    (made / "images").rename(folder / "photos")
    (made / "train.json").rename(folder / "train.json")
    shutil.copy(folder / "train.json", folder / "val.json")
    (folder / "run.yml").write_text("run:\n  env: smoke\n", encoding="utf-8")
    (folder / "conf/cluster").mkdir()
    (folder / "conf/cluster/parameters_run.yml").write_text("run: {}\n", encoding="utf-8")
    (folder / "words.txt").write_text("\n".join(NAMES), encoding="utf-8")
    bank = TextBank(tuple(NAMES), torch.eye(len(NAMES), 64), "open_clip:ViT-B-32-quickgelu:openai", is_normalized=True)
    write_text_bank(folder / "bank.safetensors", bank)
    shutil.copy(data / "01_raw/images/val/000000.jpg", folder / "photo.jpg")
    shutil.copy(data / "06_models/teacher/teacher.safetensors", folder)
    shutil.copy(data / "07_model_output/crqat.int4.safetensors", folder)
    shutil.copytree(data / "07_model_output", data / "my_data/07_model_output")
    _write_scored(data / "01_raw/annotations/val.json", folder / "instances_val2017.json", folder / "results.json")
    _write_scored(
        data / "01_raw/annotations/val_lvis.json", folder / "lvis_v1_minival.json", folder / "results.json.gz"
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("MLFLOW_TRACKING_URI", copied.store)
        put_on_path(PROJECT / "examples/nanodet", tmp_path_factory.mktemp("nanodet"), patch)
        done = run(["crqat", "new", "my_data", "--images", "photos/", "--annotations", "train.json",
                    "--embeddings", "bank.safetensors"], folder)  # fmt: skip
        assert done.exit_code == 0, done.output
        yield folder


def _write_scored(truth, annotations, results):
    """An annotation file, and a perfect detection of each of its boxes."""
    content = json.loads(truth.read_text(encoding="utf-8"))
    annotations.write_text(json.dumps(content), encoding="utf-8")
    rows = [{name: box[name] for name in ("image_id", "category_id", "bbox")} for box in content["annotations"]]
    text = json.dumps([{**row, "score": 0.9} for row in rows]).encode()
    results.write_bytes(gzip.compress(text) if results.suffix == ".gz" else text)


def test_commands_stand_in_blocks_marked_as_bash_and_marks_hold_for_one():
    assert {name: page.unlabelled for name, page in PAGES.items() if page.unlabelled} == {}
    assert {name: page.idle for name, page in PAGES.items() if page.idle} == {}


def test_what_no_test_can_run_says_why():
    silent = [
        f"{command.page}: {command.line}"
        for page in PAGES.values()
        for command in page.commands
        if not command.why_not and not command.line.startswith(RUNNABLE)
    ]
    assert silent == []


@pytest.fixture(scope="module")
def once():
    """Whether a line is new: what stands on two pages runs once."""
    seen = {"kedro run --pipelines=crqat_full --env=smoke"}  # of the folder itself
    return lambda line: line not in seen and not seen.add(line)


@pytest.mark.parametrize("name", [name for name, page in PAGES.items() if page.commands])
def test_commands_of_a_page_run(name, folder, once):
    for command in PAGES[name].commands:
        if not once(" ".join(command.words)):
            continue
        if command.why_not:
            assert look_at(command.words, folder) == "", command.line
            continue
        if command.words[:2] == ["crqat", "new"]:
            shutil.rmtree(folder / "conf/my_data", ignore_errors=True)
        done = run(command.words, folder)
        assert done.exit_code == 0, f"{command.line}\n{done.output[-3000:]}\n{done.exception!r}"


@pytest.mark.parametrize("name", [name for name, page in PAGES.items() if page.inline])
def test_commands_in_running_text_are_possible(name, folder, once):
    lines = [line for line in PAGES[name].inline if once(line)]
    assert {line: fault for line in lines if (fault := look_at(line.split(), folder))} == {}


def test_a_mark_is_read_with_its_reason():
    text = "<!-- not run:\nkedro run | hours\n-->\n```bash\nkedro run   # all\ncrqat cost \\\n  --bits 4-4-8\n```\n"
    page = read_page(text, "page.md")
    assert [(one.words, one.why_not) for one in page.commands] == [
        (["kedro", "run"], "hours"),
        (["crqat", "cost", "--bits", "4-4-8"], ""),
    ]
    assert page.idle == []
