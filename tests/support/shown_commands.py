"""The commands that README and docs show, and what their pages say of those that no test runs.

A shell block is marked as bash. What of it is too expensive for a test, or needs what is not here, has a line in a
comment before the block: `<!-- not run:`, lines of `how the command begins | why, and what covers it`, `-->`.
NEVER_RUN has what no page's test runs.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

BLOCK = re.compile(r"(?P<before>(?:<!--.*?-->\s*)*)^```(?P<language>\w*)\n(?P<text>.*?)^```", re.M | re.S)
MARKS = re.compile(r"<!-- not run:(?P<lines>.+?)-->", re.S)
NEVER_RUN = {
    "make ": "targets install environments; `make test` is what CI runs, `make run` its smoke run at full size",
    "pip install": "it would change the environment of the tests",
    "dvc ": "it would run every stage; tests/conf/test_dvc_agrees.py holds dvc.yaml to the pipelines",
    "pytest ": "it is the tests",
    "crqat demo": "it serves until it is stopped; tests/unit/inference/test_demo_page.py runs the page",
    "crqat embed": "it needs CLIP's weights; tests/unit/cli/test_embed_command.py runs it with another encoder",
}
"""How a command begins -> why no test of the pages runs it."""
INLINE = re.compile(r"`((?:kedro run|crqat [a-z]+) --[^`<…]*|make [a-z-]+[^`<…]*)`")
PROGRAMS = ("kedro", "crqat", "make", "dvc", "pip", "python", "pytest", "mlflow", "trtexec", "cd", "git", "source")
ASSIGNMENT = re.compile(r"(?P<name>\w+)=(?P<value>\S+)")


@dataclass(frozen=True)
class Command:
    """line: as it is written, continued lines joined. why_not: of its mark; "" where a test runs it."""

    page: str
    line: str
    why_not: str

    @property
    def words(self) -> list[str]:
        return shlex.split(self.line, comments=True)


@dataclass
class Page:
    """inline: commands in the running text, with their options. unlabelled: first lines of blocks that look like
    commands and are not marked as bash. idle: marks without a command in their block, or without a reason."""

    name: str
    commands: list[Command] = field(default_factory=list)
    inline: list[str] = field(default_factory=list)
    unlabelled: list[str] = field(default_factory=list)
    idle: list[str] = field(default_factory=list)


def pages(project: Path) -> Iterator[Page]:
    files = [project / "README.md", project / "CONTRIBUTING.md", *project.glob("examples/*/README.md")]
    for file in [*files, *sorted((project / "docs").rglob("*.md"))]:
        yield read_page(file.read_text(encoding="utf-8"), file.relative_to(project).as_posix())


def read_page(text: str, name: str) -> Page:
    page = Page(name)
    for block in BLOCK.finditer(text):
        lines = _lines(block["text"])
        if block["language"] == "bash":
            _add(page, lines, _marks(block["before"]))
        elif not block["language"] and lines and lines[0].split()[0] in PROGRAMS:
            page.unlabelled.append(lines[0])
    page.inline += [" ".join(found.split()) for found in INLINE.findall(BLOCK.sub("", text))]
    return page


def _marks(before: str) -> dict[str, str]:
    lines = (line for found in MARKS.finditer(before) for line in found["lines"].strip().splitlines())
    return {begins.strip(): reason.strip() for begins, _, reason in (line.rpartition(" | ") for line in lines)}


def _add(page: Page, lines: list[str], marks: Mapping[str, str]) -> None:
    used = set()
    for line in lines:
        mark = next((begins for begins in marks if line.startswith(begins)), None)
        used.add(mark)
        never = next((reason for begins, reason in NEVER_RUN.items() if line.startswith(begins)), "")
        page.commands.append(Command(page.name, line, never if mark is None else marks[mark]))
    page.idle += [begins for begins in marks if begins not in used or not marks[begins]]


def _lines(block: str) -> list[str]:
    """Commands of a block: continued lines joined, comments left out, NAME=value lines put into what follows."""
    values: dict[str, str] = {}
    found = []
    for line in block.replace("\\\n", "").splitlines():
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        if all(ASSIGNMENT.fullmatch(word) for word in words):
            values |= dict(ASSIGNMENT.fullmatch(word).groups() for word in words)  # type: ignore[union-attr]
            continue
        for name, value in values.items():
            line = line.replace(f"${name}/", f"{value}/")
        found.append(line.strip())
    return found
