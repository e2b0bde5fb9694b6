"""The whole smoke run, for the tests that look at it and change it."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="module")
def smoke(whole_run, tmp_path_factory):
    """A copy of the whole run, with its MLflow store in the environment."""
    copied = whole_run.copy(tmp_path_factory.mktemp("pipelines") / "project")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", copied.store)
        yield copied
