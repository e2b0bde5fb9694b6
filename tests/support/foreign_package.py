"""A package of another author as if it were installed: its folders and a temporary dist-info are on the path."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path

import pytest


def put_on_path(package: Path, folder: Path, patch: pytest.MonkeyPatch) -> None:
    """package: folder with pyproject.toml and src/. folder: an empty one, for the dist-info.

    For this process, processes that it spawns, and programs that it starts.
    """
    with (package / "pyproject.toml").open("rb") as file:
        project = tomllib.load(file)["project"]
    facts = folder / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    facts.mkdir(parents=True)
    header = f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    (facts / "METADATA").write_text(header, encoding="utf-8")
    groups = (
        f"[{group}]\n" + "".join(f"{name} = {value}\n" for name, value in points.items())
        for group, points in project["entry-points"].items()
    )
    (facts / "entry_points.txt").write_text("\n".join(groups), encoding="utf-8")
    for place in (folder, package / "src"):
        patch.syspath_prepend(str(place))
    path = [str(folder), str(package / "src"), *filter(None, [os.environ.get("PYTHONPATH")])]
    patch.setenv("PYTHONPATH", os.pathsep.join(path))
