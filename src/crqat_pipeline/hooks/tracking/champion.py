"""The best model of an experiment under one name: versions in MLflow's registry, the alias `champion` on the best."""

from __future__ import annotations

from collections.abc import Mapping

from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from crqat_pipeline.hooks.tracking.input_digests import DIGEST_TAG

ALIAS = "champion"
AP_TAG, DATA_TAG = "AP", "val_md5"
"""What a version was measured at, and on which annotations: versions measured on other data are not compared."""


def register(
    client: MlflowClient, experiment_id: str, name: str, digest: str, card: str, tags: Mapping[str, str]
) -> str:
    """Register the model of the file with this md5; returns the version. The alias moves where it is at least as good.

    tags: with AP_TAG and DATA_TAG. A file that is registered already keeps its version. Raises LookupError where no run
    of this experiment logged the file.
    """
    found = client.search_logged_models([experiment_id], f"tags.`{DIGEST_TAG}` = '{digest}'", max_results=1)
    if not found:
        raise LookupError(f"no run of this experiment logged the file with md5 {digest}")
    (model,) = found
    _ensure_registered(client, name)
    known = [one for one in client.search_model_versions(f"name = '{name}'") if one.tags.get(DIGEST_TAG) == digest]
    if known:
        version = str(known[0].version)
        for tag, value in tags.items():
            client.set_model_version_tag(name, version, tag, value)
        client.update_model_version(name, version, card)
    else:
        made = client.create_model_version(
            name,
            f"models:/{model.model_id}",
            run_id=model.source_run_id,
            model_id=model.model_id,
            description=card,
            tags={**tags, DIGEST_TAG: digest},
        )
        version = str(made.version)
    champion = _champion(client, name)
    if champion is None or _is_at_least_as_good(tags, champion):
        client.set_registered_model_alias(name, ALIAS, version)
    return version


def _ensure_registered(client: MlflowClient, name: str) -> None:
    try:
        client.get_registered_model(name)
    except MlflowException:
        client.create_registered_model(
            name, description="Packed students of crqat_pipeline; the best one is `champion`."
        )


def _champion(client: MlflowClient, name: str) -> Mapping[str, str] | None:
    try:
        tags: Mapping[str, str] = client.get_model_version_by_alias(name, ALIAS).tags
    except MlflowException:
        return None
    return tags


def _is_at_least_as_good(tags: Mapping[str, str], champion: Mapping[str, str]) -> bool:
    is_comparable = tags[DATA_TAG] == champion.get(DATA_TAG) and AP_TAG in champion
    return not is_comparable or float(tags[AP_TAG]) >= float(champion[AP_TAG])
