"""A configured Kedro run as the subject of a dry run: parameters validated, catalog built, no hook called."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from kedro.config import AbstractConfigLoader
from kedro.framework.context import KedroContext
from kedro.framework.hooks.manager import _create_hook_manager
from kedro.framework.project import PACKAGE_NAME, pipelines, settings
from kedro.pipeline import Pipeline

from crqat_pipeline.catalog_io.gathered import parts_of
from crqat_pipeline.dry_run.subject import DryRunSubject, InputEntry, SplitEntry
from crqat_pipeline.hooks.checks.parameter_check import ParameterCheck
from crqat_pipeline.hooks.chosen_pipelines import ChosenPipelines
from crqat_pipeline.hooks.gathered_entries import GatheredEntries
from crqat_pipeline.hooks.output_names import OutputNames
from crqat_pipeline.quantization import QuantSpec
from crqat_pipeline.recipes.specs import NamedBuilderSpec, QatStageSpec, RunSpec

SPLITS = {
    "train": ("train_annotations", "train_images"),
    "qat": ("qat_annotations", "qat_images"),
    "val": ("val_annotations", "val_images"),
    "val, LVIS": ("val_annotations_lvis", "val_images"),
}
"""Split -> its catalog entries."""
SECTIONS = ("fetch_data", "data_prep", "teacher", "evaluation")
DEFAULT_ENV = "local"


def dry_run_subject(
    project: Path,
    conf_source: str,
    env: str | None,
    names: Sequence[str],
    params: Mapping[str, Any],
    images_per_second: float | None = None,
) -> DryRunSubject:
    """Raises what the run itself would: faults in the parameters, unknown pipelines, a broken catalog."""
    loader: AbstractConfigLoader = settings.CONFIG_LOADER_CLASS(
        conf_source=conf_source, env=env, runtime_params=dict(params), **settings.CONFIG_LOADER_ARGS
    )
    context: Any = KedroContext(
        project_path=project,
        config_loader=loader,
        env=env,
        package_name=PACKAGE_NAME or "crqat_pipeline",
        hook_manager=_create_hook_manager(),
        runtime_params=dict(params),  # type: ignore[arg-type]
    )
    pipelines.set_requested(list(names) or None)
    chosen = ChosenPipelines()
    chosen.after_context_created(context)
    file_names = OutputNames()
    file_names.after_context_created(context)
    ParameterCheck().after_context_created(context)
    pipeline = sum((pipelines[name] for name in names or ["__default__"]), Pipeline([]))
    if names:
        context._pipelines_to_validate = list(names)
    catalog = context.catalog
    file_names.after_catalog_created(catalog)
    GatheredEntries().after_catalog_created(catalog)
    chosen.after_catalog_created(catalog)
    used = {name.removeprefix("params:") for name in pipeline.inputs() if name.startswith("params:")}

    def section(name: str) -> Any:
        return catalog.load(f"params:{name}") if name in used else None

    trained = [
        name for name in (f"{node.namespace}.train" for node in pipeline.nodes if node.namespace) if name in used
    ]
    specs = {name: catalog.load(f"params:{name}") for name in dict.fromkeys(trained)}
    return DryRunSubject(
        title=f"{', '.join(names) or 'all pipelines'}, environment {env or DEFAULT_ENV}",
        data_root=Path(loader["globals"]["data_root"]),
        run=RunSpec.model_validate(loader["parameters"]["run"]),
        inputs=tuple(_inputs(pipeline, catalog)),
        stages={spec.name: spec for spec in specs.values() if isinstance(spec, QatStageSpec)},
        splits=_splits(pipeline, catalog),
        qat_set=_loader_of("qat_set", catalog) if "qat_set" in parts_of(pipeline.inputs(), catalog) else None,
        detector=NamedBuilderSpec.model_validate(loader["parameters"]["detector"]),
        quantization=QuantSpec.model_validate(loader["parameters"]["quantization"]),
        images_per_second=images_per_second,
        **{name: section(name) for name in SECTIONS},
    )


def _inputs(pipeline: Pipeline, catalog: Any) -> list[InputEntry]:
    """Given entries, and what earlier runs must have made."""
    entries = []
    read = set(parts_of(pipeline.inputs(), catalog))
    made_before = {name for name in read if name in catalog and not name.startswith("params:")}
    for name in sorted(set(parts_of(pipeline.datasets(), catalog))):
        entry = catalog.get(name) if name in catalog else None
        is_given = bool(getattr(entry, "given", False))
        if entry is None or name.startswith("params:") or not (is_given or name in made_before):
            continue
        if name.endswith("_resume") or getattr(entry, "is_absent", False):  # made when it is asked for; left out
            continue
        paths = tuple(getattr(entry, "paths", {"": getattr(entry, "path", None)}).values())
        missing = (
            entry.missing()
            if is_given
            else []
            if entry.exists()
            else [f"nothing at {entry.path}; an earlier stage makes it"]
        )
        entries.append(InputEntry(name, tuple(path for path in paths if path is not None), tuple(missing)))
    return entries


def _splits(pipeline: Pipeline, catalog: Any) -> dict[str, SplitEntry]:
    """Splits whose annotations can be read now: given ones, and those of earlier runs."""
    ready, used = {}, set(parts_of(pipeline.datasets(), catalog))
    for split, (truth, images) in SPLITS.items():
        if truth not in used:
            continue
        entry = catalog.get(truth)
        is_given = bool(getattr(entry, "given", False))
        if hasattr(entry, "paths") or (entry.exists() and (is_given or truth not in pipeline.all_outputs())):
            ready[split] = SplitEntry(_loader_of(truth, catalog), _loader_of(images, catalog))
    return ready


def _loader_of(name: str, catalog: Any) -> Callable[[], Any]:
    return lambda: catalog.load(name)
