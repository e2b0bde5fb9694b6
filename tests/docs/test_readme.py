"""What the README and the how-to pages tell people to type exists: pipelines, environments, options, links."""

import re
import shlex

import pytest
from click.testing import CliRunner

MADE = "my_data"
"""The environment that the pages have crqat new make."""
PAGES = (
    "README.md",
    "docs/how_to/run_on_your_images.md",
    "docs/how_to/change_bits.md",
    "docs/tutorials/own_photographs.md",
    "docs/how_to/run_on_photographs.md",
    "docs/how_to/train_at_paper_scale.md",
    "docs/how_to/add_a_detector.md",
    "docs/architecture.md",
)


def commands(project, start):
    """Lines of bash blocks (continued lines joined) that begin with this word."""
    found = []
    for page in PAGES:
        text = (project / page).read_text(encoding="utf-8")
        for block in re.findall(r"```bash\n(.*?)```", text, re.S):
            lines = block.replace("\\\n", "").splitlines()
            found += [shlex.split(line, comments=True) for line in lines if line.startswith(f"{start} ")]
    return found


def option(words, *names):
    for word in words:
        for name in names:
            if word.startswith(f"{name}="):
                return word.removeprefix(f"{name}=").split(",")
    return []


def test_kedro_commands_name_pipelines_and_environments_that_exist(project):
    lines = commands(project, "kedro")
    assert len(lines) >= 4
    for words in lines:
        for name in option(words, "--pipeline", "--pipelines"):
            assert (project / "src/crqat_pipeline/pipelines" / name / "pipeline.py").exists(), words
        for env in option(words, "--env"):
            if env == MADE:
                continue
            assert (project / "conf" / env).is_dir(), words


def test_crqat_commands_and_their_options_exist(project):
    from crqat_pipeline.cli import crqat

    lines = commands(project, "crqat")
    assert {words[1] for words in lines} >= {"cost", "weights", "evaluate", "detect"}
    for words in lines:
        shown = CliRunner().invoke(crqat, [words[1], "--help"])
        assert shown.exit_code == 0, shown.output
        for word in words[2:]:
            if word.startswith("--"):
                assert word.split("=")[0] in shown.output, words


def test_make_targets_exist(project):
    makefile = (project / "Makefile").read_text(encoding="utf-8")
    for words in commands(project, "make"):
        assert re.search(rf"^{words[1]}:", makefile, re.M), words


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(project, page):
    text = (project / page).read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)]+)\)", text):
        if not target.startswith("http"):
            assert ((project / page).parent / target.split("#")[0]).exists(), target
