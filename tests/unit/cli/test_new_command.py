"""`crqat new`: what it says, and how it fails."""

import pytest
from click.testing import CliRunner

from crqat_pipeline.cli.new import command
from tests.support.own_photographs import write_photographs


@pytest.fixture
def home(tmp_path, monkeypatch):
    (tmp_path / "conf" / "base").mkdir(parents=True)
    write_photographs(tmp_path / "photos")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*arguments):
    given = ["lamps", "--images", "photos/images", "--annotations", "photos/train.json", "--no-time", *arguments]
    return CliRunner().invoke(command, given)


def test_it_says_what_it_found_and_the_command_that_runs_it(home):
    result = run("--embeddings", "photos/words.npy", "--names", "photos/words.json")
    assert result.exit_code == 0, result.output
    assert "train: 10 photographs (0 without boxes), 10 boxes of 3 classes" in result.output
    assert "wrote conf/lamps" in result.output
    assert result.output.splitlines()[-1] == "run it: kedro run --pipelines=crqat_full --env=lamps"
    assert (home / "conf/lamps/parameters.yml").is_file()


def test_a_refusal_is_one_error_and_writes_nothing(home):
    result = run("--embeddings", "photos/words.npy")
    assert result.exit_code == 1
    assert "does not name its rows" in result.output
    assert not (home / "conf/lamps").exists()
