"""What a test does with a command of the docs: it runs, or is looked at as far as that costs nothing."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click
from click.testing import CliRunner, Result
from kedro.framework.startup import bootstrap_project

from crqat_pipeline.cli import COMMANDS, crqat
from crqat_pipeline.hooks.configured_run import dry_run_subject
from crqat_pipeline.hooks.run_command import command as kedro_run

RUNNABLE = ("kedro run", "crqat ")


def run(words: Sequence[str], project: Path) -> Result:
    """`kedro run …` or `crqat …` to its end, in the folder that is the working directory."""
    if words[0] == "crqat":
        return CliRunner().invoke(crqat, list(words[1:]), catch_exceptions=True)
    bootstrap_project(project)
    return CliRunner().invoke(kedro_run, list(words[2:]), catch_exceptions=True)


def look_at(words: Sequence[str], project: Path) -> str:
    """What would be wrong with the command before any work: names, options, parameters; "" for nothing."""
    match words[:2]:
        case ["kedro", "run"]:
            return _run_faults(words[2:], project)
        case ["crqat", name]:
            return _option_faults(name, words[2:])
        case ["make", target]:
            targets = (project / "Makefile").read_text(encoding="utf-8")
            return "" if f"\n{target}:" in targets else f"no target {target}"
        case _:
            return ""


def _option_faults(name: str, words: Sequence[str]) -> str:
    if name not in COMMANDS:
        return f"no command {name}"
    known = crqat.get_command(click.Context(crqat), name)
    assert known is not None
    options = {option for parameter in known.params for option in parameter.opts}
    return ", ".join(word for word in words if word.startswith("--") and word.split("=")[0] not in options)


def _run_faults(words: Sequence[str], project: Path) -> str:
    try:
        asked: dict[str, Any] = kedro_run.make_context("run", list(words)).params
        names = [asked["pipeline"]] if asked["pipeline"] else list(asked["pipelines"] or ())
        env = asked["env"]
        if env is not None and not (project / "conf" / env).is_dir():
            return f"no environment {env}"
        if (env or "").startswith("detectron2") and find_spec("detectron2") is None:
            return ""
        bootstrap_project(project)
        dry_run_subject(project, str(project / "conf"), env, names, asked["params"] or {})
    except (ValueError, KeyError, click.ClickException) as error:
        return str(error)
    return ""
