"""`crqat embed`: words by name out of embeddings at hand; what is not there is named with the nearest."""

import json
import os

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
