"""A notebook executed from top to bottom in one kernel, as a reader would."""

from __future__ import annotations

from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode

LIMIT_S = 900


def read(path: Path) -> NotebookNode:
    return nbformat.read(path, as_version=4)


def execute(path: Path, folder: Path) -> NotebookNode:
    """The notebook with its outputs; raises CellExecutionError of the first cell that fails. folder: where it runs."""
    notebook = read(path)
    resources = {"metadata": {"path": str(folder)}}
    limits = {"timeout": LIMIT_S, "startup_timeout": LIMIT_S}
    NotebookClient(notebook, kernel_name="python3", resources=resources, **limits).execute()
    return notebook


def pictures(notebook: NotebookNode) -> int:
    """How many pictures the cells show."""
    shown = (output.get("data", {}) for cell in notebook.cells for output in cell.get("outputs", ()))
    return sum("image/png" in data for data in shown)
