"""What every command does alike: how it ends where the user can mend something, and what a terminal can show."""

from __future__ import annotations

import io
import math
import shlex
import sys
from pathlib import Path
from typing import Any

import click


def typed_command() -> str:
    """The command of this process as it was typed, `python -m kedro` as `kedro`."""
    program = Path(sys.argv[0])
    name = program.parent.name if program.name == "__main__.py" else program.name
    return shlex.join([name, *sys.argv[1:]])


def show_what_can_be_shown() -> None:
    """In a locale without UTF-8 (C, ISO-8859-1) a character that is not in it is printed as its number.

    Without this, the first × or – of a text ends the command with a UnicodeEncodeError.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.encoding.lower().replace("-", "") != "utf8":
            stream.reconfigure(errors="backslashreplace")


def refused(error: Exception) -> click.ClickException:
    """What a command ends with where the user can mend it: the text of the error in one sentence, exit code 1."""
    from pydantic import ValidationError  # not at once: `crqat --help` does without

    from crqat_pipeline.runtime.validation_text import faults_text

    text = f"Refused: {faults_text(error)}." if isinstance(error, ValidationError) else str(error)
    return click.ClickException(printable(text))


def printable(text: str) -> str:
    """Text for a terminal: bytes of a file name that are no UTF-8 as \\xff."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


class FiniteRange(click.FloatRange):
    """A range of numbers; click's own takes NaN, which is beside every range."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value} is no finite number.", param, ctx)
        return number
