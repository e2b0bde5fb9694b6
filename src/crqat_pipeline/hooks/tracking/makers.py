"""From a file to the runs that wrote it, by the md5 that dvc.lock has too."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from mlflow.entities import Run
from mlflow.tracking import MlflowClient

from crqat_pipeline.hooks.tracking.input_digests import DIGEST_TAG, OUTPUT_TAG

PAGE = 1000
"""Runs per request."""


def makers(client: MlflowClient, experiment_ids: Sequence[str], digest: str) -> Iterator[Run]:
    """Runs that wrote a file of metrics, or logged a model, with this md5; latest first, models last.

    All runs are read: a store cannot be asked for a value under any name. Raises MlflowException when the store cannot.
    """
    found, token = set(), None
    while experiment_ids:
        page = client.search_runs([*experiment_ids], max_results=PAGE, page_token=token)
        for run in page:
            if any(tag.startswith(OUTPUT_TAG) and value == digest for tag, value in run.data.tags.items()):
                found.add(run.info.run_id)
                yield run
        token = page.token
        if not token:
            break
    for model in _models(client, experiment_ids, digest):
        if model not in found:
            found.add(model)
            yield client.get_run(model)


def _models(client: MlflowClient, experiment_ids: Sequence[str], digest: str) -> list[str]:
    if not experiment_ids:
        return []
    models = client.search_logged_models([*experiment_ids], f"tags.`{DIGEST_TAG}` = '{digest}'")
    return [model.source_run_id for model in models if model.source_run_id]
