"""The node that ends a stage which can be resumed."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any


def clear_resume(result: Any, resume_folder: Path) -> None:
    """The result is on disk (it was just read back): what an interrupted run would have needed is removed."""
    shutil.rmtree(resume_folder)
