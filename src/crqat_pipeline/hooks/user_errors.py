"""Which errors of a run are the user's to mend, and how they are shown: one screen, the traceback elsewhere."""

from __future__ import annotations

import os
import traceback
from datetime import datetime
from pathlib import Path
from types import MappingProxyType

import click
import kedro
import pydantic
from kedro.config import MissingConfigException
from kedro.framework.cli.utils import KedroCliError
from kedro.io import DatasetError
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

import crqat_pipeline
from crqat_pipeline.runtime.validation_text import faults_text

VERBOSE_VARIABLE = "CRQAT_VERBOSE"
LOG_FILE = "info.log"
ALWAYS_THE_USERS = (MissingConfigException, KedroCliError, YAMLError, OmegaConfBaseException)
"""For an environment, file or option that is not there, and for configuration that is not YAML."""
SPEAKING = tuple(f"{Path(str(package.__file__)).parent}{os.sep}" for package in (crqat_pipeline, kedro, pydantic))
"""Packages whose ValueErrors are written for users; those of numpy or torch come from a fault of ours."""
DESCRIBE = "`kedro registry describe <pipeline>` lists"
DATASETS = "`kedro catalog describe-datasets --pipeline=<pipeline>` lists"
WAYS_OUT = MappingProxyType(
    {
        "Pipeline does not contain nodes named": f"{DESCRIBE} them.",
        "Pipeline does not contain nodes with": f"Namespaces are the stages; {DESCRIBE} nodes below them.",
        "Pipeline does not contain datasets named": f"{DATASETS} them.",
        "Pipeline contains no nodes after": f"Tags are gpu and light; {DESCRIBE} nodes and their namespaces.",
    }
)
"""How a text of Kedro's begins that says what is wrong -> what to do."""
OURS = f"{Path(str(crqat_pipeline.__file__)).parent}{os.sep}"


def users_error(error: BaseException) -> BaseException | None:
    """The error in the chain whose text tells the user what to do; None for a fault of our own."""
    if isinstance(error, DatasetError) and error.__cause__ is not None and not _raised_in(error).startswith(OURS):
        return users_error(error.__cause__)  # Kedro wraps whatever a dataset raises
    if isinstance(error, (*ALWAYS_THE_USERS, DatasetError, click.ClickException)):
        return error
    is_spoken = isinstance(error, ValueError) and _raised_in(error).startswith(SPEAKING)
    is_of_a_file = isinstance(error, OSError) and error.errno is not None
    return error if is_spoken or is_of_a_file else None


def panel(error: BaseException, where: str = "") -> str:
    """The error's text between two lines that catch the eye; texts are not broken, so that paths can be copied."""
    lines = _text(error).strip().splitlines()
    title = f"── Error{f' in {where}' if where else ''} "
    return "\n".join([title.ljust(80, "─"), *(f"  {line}" for line in lines), "─" * 80])


def _text(error: BaseException) -> str:
    if isinstance(error, pydantic.ValidationError):
        return f"{error.title}: {faults_text(error)}."
    if isinstance(error, OmegaConfBaseException):
        rule = str(error).partition("\n")[0].rstrip(".")
        where = f": key {error.full_key!r}" if error.full_key else ""
        return f"{rule}{where}. Correct what it refers to, in the files of conf/ or in --params."
    text = error.format_message() if isinstance(error, click.ClickException) else str(error)
    way_out = next((way for begins, way in WAYS_OUT.items() if text.startswith(begins)), "")
    return f"{text.strip().removesuffix('.')}. {way_out}" if way_out else text


def is_verbose() -> bool:
    return os.environ.get(VERBOSE_VARIABLE, "").lower() not in ("", "0", "false", "no")


def keep_traceback(error: BaseException, folder: Path) -> str:
    """Adds the traceback to info.log in the project's folder, and says where it is."""
    text = "".join(traceback.format_exception(error))
    log = folder / LOG_FILE
    try:
        with log.open("a", encoding="utf-8", errors="backslashreplace") as file:
            file.write(f"{datetime.now().astimezone().isoformat(timespec='seconds')}\n{text}\n")
    except OSError:
        return "To see the traceback, add --verbose."
    return f"The traceback is in {log}; --verbose shows it here."


def failing_place(error: BaseException) -> str:
    """`dataset train_annotations`, where Kedro's catalog names one in front of the text."""
    name, mark, _ = str(error).partition(": ")
    return f"dataset {name}" if isinstance(error, DatasetError) and mark and name.isidentifier() else ""


def _raised_in(error: BaseException) -> str:
    """Path of the source file that raised it."""
    frames = traceback.extract_tb(error.__traceback__)
    return frames[-1].filename if frames else ""
