"""`crqat embed`: words by name out of embeddings at hand; what is not there is named with the nearest."""

import json
import os
import re

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from crqat_pipeline.cli.embed import command
from crqat_pipeline.model_files.text_bank_file import read_text_bank

NAMES = ["person", "traffic light", "hot dog", "teddy bear"]


@pytest.fixture
def folder(tmp_path):
    np.save(tmp_path / "e.npy", np.eye(4, 8, dtype=np.float16) * 3)
    (tmp_path / "names.json").write_text(json.dumps(NAMES), encoding="utf-8")
    return tmp_path


def run(folder, words, *arguments):
    (folder / "words.txt").write_bytes(words.encode("utf-8-sig"))
    given = [folder / "words.txt", "--out", folder / "bank.safetensors", *arguments]
    return CliRunner().invoke(command, [str(one) for one in given])


def known(folder):
    return ["--embeddings", folder / "e.npy", "--names", folder / "names.json"]


def test_words_become_a_bank_each_once_in_their_order(folder):
    result = run(folder, "Traffic light\n\n  person \nperson\n", *known(folder))
    assert result.exit_code == 0, result.output
    bank = read_text_bank(folder / "bank.safetensors")
    assert bank.prompts == ("Traffic light", "person")
    assert torch.equal(bank.embeddings_KD, torch.eye(4, 8)[[1, 0]])


def test_a_bank_is_a_source_of_words_without_a_list_of_names(folder):
    assert run(folder, "person\nhot dog\n", *known(folder)).exit_code == 0
    os.rename(folder / "bank.safetensors", folder / "known.safetensors")
    result = run(folder, "hot dog\n", "--embeddings", folder / "known.safetensors")
    assert result.exit_code == 0, result.output
    assert torch.equal(read_text_bank(folder / "bank.safetensors").embeddings_KD, torch.eye(4, 8)[[2]])


def test_an_unknown_word_is_named_with_the_nearest_and_nothing_is_written(folder):
    result = run(folder, "person\nteddybear\n", *known(folder))
    assert result.exit_code == 1
    assert "no embedding for 1 of 2 prompts" in result.output
    assert "'teddybear' (nearest: 'teddy bear')" in result.output
    assert not (folder / "bank.safetensors").exists()


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--embeddings", "e.npy"], "does not name its rows"),
        (["--names", "names.json"], "belong to a file of embeddings"),
        (["--text-encoder", "open_clip", "--embeddings", "e.npy"], "come from one place"),
        (["--text-encoder", "gone.pt"], "No file of CLIP weights at gone.pt"),
        (["--text-encoder", "clp"], "A text encoder is one of composed, precomputed"),
        (["--text-encoder", '{"name": "open_clip", "modelname": "x"}'], "modelname: Extra inputs"),
    ],
)
def test_wishes_that_do_not_fit_are_refused(folder, monkeypatch, arguments, text):
    monkeypatch.chdir(folder)
    result = run(folder, "person\n", *arguments)
    assert result.exit_code == 1
    assert text in result.output, result.output


def test_a_list_without_words_is_refused(folder):
    assert "has none" in run(folder, "\n \n", *known(folder)).output


def tree(folder):
    return {path.relative_to(folder): path.is_file() and path.read_bytes() for path in folder.rglob("*")}


PLACES = {
    "a folder": (lambda folder: (folder / "bank.safetensors").mkdir(), "bank.safetensors", "is a (directory|folder)"),
    "in a file": (lambda folder: None, "names.json/bank.safetensors", "A part of its path is a file"),
    "deep in a file": (lambda folder: None, "names.json/a/b/bank.safetensors", "A part of its path is a file"),
    "a link to the words": (
        lambda folder: (folder / "bank.safetensors").symlink_to(folder / "words.txt"),
        "bank.safetensors",
        "does not take the place of its source",
    ),
    "a hard link to the embeddings": (
        lambda folder: (folder / "bank.safetensors").hardlink_to(folder / "e.npy"),
        "bank.safetensors",
        "does not take the place of its source",
    ),
    "under a dangling link": (
        lambda folder: (folder / "gone").symlink_to(folder / "nowhere"), "gone/bank.safetensors", "Could not write"
    ),
    "a name without end": (lambda folder: None, "x" * 300 + ".safetensors", "Shorten its name|File name too long"),
    "nowhere to write": (lambda folder: None, "/proc/bank.safetensors", "Could not write"),
}  # fmt: skip


@pytest.mark.parametrize("kind", PLACES)
def test_a_place_that_cannot_be_written_is_told_before_the_work_and_nothing_changes(folder, kind):
    make, place, text = PLACES[kind]
    (folder / "words.txt").write_text("person\n", encoding="utf-8")
    make(folder)
    before = tree(folder)
    given = [folder / "words.txt", "--out", folder / place, *known(folder)]
    result = CliRunner().invoke(command, [str(one) for one in given])
    assert result.exit_code in (1, 2), result.output
    assert isinstance(result.exception, SystemExit)
    assert re.search(text, " ".join(result.output.split())), result.output
    assert tree(folder) == before


def test_weights_of_the_encoder_are_a_source_too(folder):
    weights = folder / "clip.safetensors"
    weights.write_bytes(b"weights")
    (folder / "words.txt").write_text("person\n", encoding="utf-8")
    given = [folder / "words.txt", "--out", weights, "--text-encoder", weights]
    result = CliRunner().invoke(command, [str(one) for one in given])
    assert result.exit_code == 1
    assert "does not take the place of its source" in result.output
    assert weights.read_bytes() == b"weights"


def test_a_link_is_replaced_and_a_missing_folder_is_made_when_there_is_something_to_write(folder):
    (folder / "mine.txt").write_text("mine")
    (folder / "bank.safetensors").symlink_to(folder / "mine.txt")
    assert run(folder, "person\n", *known(folder)).exit_code == 0
    assert (folder / "mine.txt").read_text() == "mine"
    assert not (folder / "bank.safetensors").is_symlink()
    far = folder / "a" / "b" / "bank.safetensors"
    for words, code in (("nobody\n", 1), ("person\n", 0)):
        (folder / "words.txt").write_text(words, encoding="utf-8")
        given = [folder / "words.txt", "--out", far, *known(folder)]
        assert CliRunner().invoke(command, [str(one) for one in given]).exit_code == code
        assert (folder / "a").exists() == (code == 0)
    assert read_text_bank(far).prompts == ("person",)
