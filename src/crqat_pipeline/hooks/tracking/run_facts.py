"""What a run was made from: commit, environment, DVC stage."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

SOURCES = ("src", "conf", "dvc.yaml", "pyproject.toml")
"""What makes a commit dirty. Not data/: DVC removes tracked metrics before it runs a stage."""

GROUP_VARIABLES = ("DVC_EXP_NAME", "CRQAT_RUN_GROUP", "AIRFLOW_CTX_DAG_RUN_ID")
"""Whoever starts the processes names the group: DVC's experiment, the user, Airflow's run of a DAG."""

LOCK = "dvc.lock"
OF_DVC = ("base", "local", None)
"""Environments that write where DVC's stages do; the others have a data_root of their own."""


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        result = subprocess.run(
            ["git", *arguments], cwd=folder, capture_output=True, text=True, timeout=10, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return result.stdout.strip() if result.returncode == 0 else None


def commit(folder: Path) -> str | None:
    """The full sha of HEAD; None outside git and before the first commit."""
    return _git(folder, "rev-parse", "--verify", "-q", "HEAD") or None


def run_tags(folder: Path, env: str | None, environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Tags common to every run of a session.

    dvc.rev: the revision whose dvc.lock the files of the run compare with, which an experiment started from; git.dirty
    says whether code or parameters were others than its own.
    """
    tags = {"kedro.env": env or "local"}
    sha = commit(folder)
    if sha:
        tags["mlflow.source.git.commit"] = sha
        present = [source for source in SOURCES if (folder / source).exists()]
        tags["git.dirty"] = str(bool(_git(folder, "status", "--porcelain", "--", *present))).lower()
        is_of_dvc = env in OF_DVC or bool(environ.get("DVC_STAGE"))
        if is_of_dvc and _git(folder, "rev-parse", "--verify", "-q", f"HEAD:./{LOCK}"):
            tags["dvc.rev"] = sha
    for tag, variable in (("dvc.stage", "DVC_STAGE"), ("dvc.exp", "DVC_EXP_NAME"), ("dvc.rev", "DVC_EXP_BASELINE_REV")):
        if environ.get(variable):
            tags[tag] = environ[variable]
    return tags


def group_name(folder: Path, parameters: Mapping[str, str], environ: Mapping[str, str] = os.environ) -> str | None:
    """The name under which stages of one process each meet; None where nothing says that they belong together.

    Parameters are part of it, so that a repro with changed parameters at the same commit is a group of its own.
    """
    named = next((environ[variable] for variable in GROUP_VARIABLES if environ.get(variable)), None)
    if named:
        return named
    if not environ.get("DVC_STAGE"):
        return None
    digest = hashlib.sha256(json.dumps(parameters, sort_keys=True).encode()).hexdigest()[:6]
    return f"dvc-{(commit(folder) or 'uncommitted')[:7]}-{digest}"
