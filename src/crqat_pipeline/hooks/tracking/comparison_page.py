"""The page of MLflow on which runs are compared: which columns it shows, how it opens, and its address.

MLflow's page keeps what somebody shares of it as a tag of the experiment (`mlflow.sharedViewState.<key>`), and opens
with it at an address that names the key. Without one it shows no figures at all.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from types import MappingProxyType
from urllib.parse import urlencode

from mlflow.tracking import MlflowClient

VIEW = "crqat"
"""The key of the shared view in the address."""

FORMS = ("teacher", "finetuned", "ptq", "qat", "crqat", "int4", "onnx")
COLUMNS = (
    "tags.`bits`",
    "tags.`seed`",
    *(f"metrics.`evaluation/AP/{form}`" for form in FORMS),
    "metrics.`int4_export/compression`",
    "metrics.`final_loss`",
    "tags.`dvc.exp`",
)
"""Figures of the parents, then those of the stages below them."""

MAIN_FIGURE = "evaluation/AP/crqat"

_STATE = {
    "searchFilter": "",
    "orderByKey": "attributes.start_time",
    "orderByAsc": False,
    "startTime": "ALL",
    "lifecycleFilter": "Active",
    "modelVersionFilter": "All Runs",
    "datasetsFilter": [],
    "selectedColumns": [*COLUMNS],
    "columnOrder": [],
    "columnWidths": {},
    "runsExpanded": {},
    "runsPinned": [],
    "runsHidden": [],
    "runsVisibilityMap": {},
    "runsHiddenMode": "FIRST_10_RUNS",
    "viewMaximized": False,
    "runListHidden": False,
    "isAccordionReordered": False,
    "groupBy": None,
    "groupsExpanded": {},
    "autoRefreshEnabled": True,
}

EXPERIMENT_TAGS: Mapping[str, str] = MappingProxyType(
    {
        "mlflow.experimentKind": "custom_model_development",  # without it the page is one of chats and prompts
        "mlflow.experiment.primaryMetric.name": MAIN_FIGURE,
        "mlflow.experiment.primaryMetric.greaterIsBetter": "True",
        f"mlflow.sharedViewState.{VIEW}": json.dumps(_STATE),
    }
)
"""Tag of an experiment -> its value; one that is there stays."""


def describe_experiment(client: MlflowClient, experiment_id: str) -> None:
    """Set EXPERIMENT_TAGS where they are missing. Raises MlflowException when the store cannot."""
    known = client.get_experiment(experiment_id).tags
    for name in EXPERIMENT_TAGS.keys() - known.keys():
        client.set_experiment_tag(experiment_id, name, EXPERIMENT_TAGS[name])


def page_address(server: str, experiment_id: str) -> str:
    """The page of the experiment at this server, with the columns of COLUMNS."""
    asked = urlencode({"viewStateShareKey": VIEW, "workflowType": "machine_learning"})
    return f"{server.rstrip('/')}/#/experiments/{experiment_id}/runs?{asked}"


def run_address(server: str, experiment_id: str, run_id: str) -> str:
    """The page of one run at this server."""
    return f"{server.rstrip('/')}/#/experiments/{experiment_id}/runs/{run_id}"
