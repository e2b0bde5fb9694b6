"""Reports each stage (the top namespace of its nodes) to an MLflow run of its own.

A session of several stages: its run is the parent, each stage a child. A session of one stage, as `dvc repro` starts
them: its run is the stage's run, put under a parent that all stages of the same repro find by a tag.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl
from kedro.io import MemoryDataset
from kedro.pipeline import Pipeline
from kedro.pipeline.node import Node
from mlflow.utils.mlflow_tags import MLFLOW_RUN_NAME

from crqat_pipeline.catalog_io.gathered import parts_of
from crqat_pipeline.hooks.checks.parameter_check import written_parameters
from crqat_pipeline.hooks.tracking.flat_values import flat_metrics, flat_parameters
from crqat_pipeline.hooks.tracking.guard import TrackingGuard
from crqat_pipeline.hooks.tracking.input_digests import input_digests, output_tags
from crqat_pipeline.hooks.tracking.interruption import Interruption
from crqat_pipeline.hooks.tracking.model_shelf import Candidate, ModelShelf
from crqat_pipeline.hooks.tracking.run_facts import group_name, run_tags
from crqat_pipeline.hooks.tracking.run_tree import RunTree
from crqat_pipeline.hooks.tracking.run_writer import RunWriter
from crqat_pipeline.hooks.tracking.safe_mlflow import SafeMlflowHook
from crqat_pipeline.hooks.tracking.session_command import session_command
from crqat_pipeline.hooks.tracking.stage_plan import StagePlan, namespace_prefix, stage_of
from crqat_pipeline.hooks.tracking.tracker import Place, Tracker

PARAMETERS = "params:"
COMMAND_TAG = "kedro_command"
"""kedro-mlflow writes it without environment, parameters and namespaces, and with an option that Kedro gives up."""


class TrackerDataset(MemoryDataset):
    """The tracker of this process; in another one there is none, which ParallelRunner's users are told beforehand."""

    def __reduce__(self) -> tuple[type[MemoryDataset], tuple[()]]:
        return MemoryDataset, ()


class StageRunsHook:
    """tag_parameters: tag -> dotted names of the parameters whose values it shows, joined by dashes.

    foreign_tags: tag -> stages that it says nothing about.
    """

    def __init__(
        self,
        guard: TrackingGuard,
        session_run: SafeMlflowHook,
        tag_parameters: Mapping[str, tuple[str, ...]],
        foreign_tags: Mapping[str, Collection[str]],
    ) -> None:
        self._guard = guard
        self._session_run = session_run
        self._tag_parameters, self._foreign_tags = tag_parameters, foreign_tags
        self._interruption = Interruption(lambda: self._finish("KILLED"))
        self._here = threading.local()  # the node that this thread runs
        self._tree = RunTree(RunWriter(guard, None))
        self._shelf = ModelShelf(guard, None, "", "")
        self._plan = StagePlan(Pipeline([]))
        self._catalog: Any = None
        self._folder = Path.cwd()
        self._env: str | None = None
        self._written_parameters: dict[str, str] = {}  # before specs add their defaults

    @hook_impl
    def after_context_created(self, context: KedroContext) -> None:
        self._folder, self._env = context.project_path, context.env
        self._written_parameters = flat_parameters(written_parameters(context))

    @hook_impl
    def after_catalog_created(self, catalog: Any) -> None:
        self._interruption.settle()
        self._tree = RunTree(RunWriter(self._guard, None))
        tracker = Tracker(lambda: self._place(getattr(self._here, "node", None)))
        catalog["tracker"] = TrackerDataset(tracker, copy_mode="assign")

    @hook_impl(trylast=True)
    def before_pipeline_run(self, run_params: dict[str, Any], pipeline: Pipeline, catalog: Any) -> None:
        self._interruption.watch()
        self._catalog, self._plan = catalog, StagePlan(pipeline)
        session_id = self._session_run.run_id
        writer = RunWriter(self._guard, self._session_run.client)
        parameters = flat_parameters(catalog.load("parameters"))
        tags = run_tags(self._folder, self._env)
        for tag, names in self._tag_parameters.items():
            if all(name in parameters for name in names):
                tags[tag] = "-".join(parameters[name] for name in names)
        self._tree = RunTree(writer, self._session_run.experiment_id, tags=tags, foreign_tags=self._foreign_tags)
        experiment_id, name = self._session_run.experiment_id, self._session_run.experiment_name
        self._shelf = ModelShelf(self._guard, self._session_run.client, experiment_id, name)
        writer.describe(experiment_id)
        writer.tags(session_id, {COMMAND_TAG: session_command(run_params)})
        lone_stage = self._plan.lone_stage
        if lone_stage is None:
            self._tree.parent_id = session_id
            writer.tags(session_id, tags | {MLFLOW_RUN_NAME: self._session_name(run_params, tags)})
            writer.parameters(session_id, self._parameters_of(pipeline.inputs()))
        else:
            group = group_name(self._folder, self._written_parameters)
            if group and session_id:
                self._tree.parent_id = self._tree.group_parent(group)
            self._tree.adopt(lone_stage, session_id, lambda run_id: self._describe(lone_stage, run_id))

    @hook_impl(tryfirst=True)
    def before_node_run(self, node: Node) -> None:
        stage = stage_of(node)
        self._here.node = node
        for finished in self._plan.finished - {stage}:
            self._tree.end(finished, "FINISHED")
        if stage:
            self._tree.begin(stage, lambda run_id: self._describe(stage, run_id))

    @hook_impl
    def after_node_run(self, node: Node) -> None:
        self._plan.complete(node)

    @hook_impl
    def after_dataset_saved(self, dataset_name: str, data: Any, node: Node) -> None:
        """What the catalog marks with `metadata: {mlflow: …}` goes to the stage's run.

        Metrics go to the run above the stages too, by the names of stage and node; details, hundreds of them, do not. A
        model is an artifact and a LoggedModel; `champion` says whose figures these are.
        """
        dataset = self._catalog.get(dataset_name)
        metadata = getattr(dataset, "metadata", None) or {}
        kind = metadata.get("mlflow")
        place = self._place(node)
        if kind in ("metrics", "details"):
            values = {place.prefix + name: value for name, value in flat_metrics(data).items()}
            place.writer.metrics(place.run_id, values)
            place.writer.tags(place.run_id, output_tags(dataset_name, dataset))
            if kind == "metrics" and self._tree.parent_id != place.run_id:  # for the comparison page
                summary = {f"{stage_of(node)}/{name}": value for name, value in values.items()}
                place.writer.metrics(self._tree.parent_id, summary)
        elif kind in ("artifact", "model"):
            path = Path(str(dataset._filepath))
            place.writer.artifact(place.run_id, path, place.prefix.rstrip("/") or None)
            if kind == "model":
                self._shelf.log(path, place.run_id, self._tree.tags)
        if "champion" in metadata:
            self._shelf.promote(data, Candidate(**metadata["champion"]), self._catalog, self._tree.tags)

    @hook_impl(tryfirst=True)
    def after_pipeline_run(self) -> None:
        self._finish("FINISHED")

    @hook_impl(tryfirst=True)
    def on_pipeline_error(self) -> None:
        self._finish("FAILED")

    def _place(self, node: Node | None) -> Place:
        """Where values of this node belong."""
        stage = stage_of(node) if node else None
        if node is None or stage is None:
            return Place(self._tree.writer, self._tree.parent_id, "")
        return Place(self._tree.writer, self._tree.run_ids.get(stage), namespace_prefix(node))

    @staticmethod
    def _session_name(run_params: Mapping[str, Any], tags: Mapping[str, str]) -> str:
        """`crqat_full 4-4-8`: rows of equal pipelines stay apart in the list of runs."""
        names = "+".join(sorted(run_params.get("pipeline_names") or ["crqat_full"]))
        return f"{names.replace('__default__', 'crqat_full')} {tags.get('bits', '')}".strip()

    def _describe(self, stage: str, run_id: str | None) -> None:
        """Parameters (without the stage's name, so that stages line up in one column) and inputs of a stage's run."""
        if run_id is None:
            return
        writer = self._tree.writer
        values = self._parameters_of(self._plan.inputs(stage))
        writer.parameters(run_id, {name.removeprefix(f"{stage}."): value for name, value in values.items()})
        files = {name for name in self._plan.inputs(stage) if not name.startswith(PARAMETERS)}
        read = sorted(set(parts_of(files, self._catalog)))
        writer.inputs(run_id, list(input_digests(read, self._catalog, stage)))
        if self._tree.parent_id and self._plan.lone_stage:
            writer.parameters(self._tree.parent_id, values)

    def _parameters_of(self, inputs: set[str]) -> dict[str, str]:
        names = sorted(name for name in inputs if name.startswith(PARAMETERS))
        return flat_parameters({name.removeprefix(PARAMETERS): self._catalog.load(name) for name in names})

    def _finish(self, status: str) -> None:
        self._interruption.release()
        failing_stage = stage_of(self._here.node) if hasattr(self._here, "node") else None
        if status != "FINISHED" and failing_stage:
            self._tree.end(failing_stage, status)
        for stage in self._plan.finished:
            self._tree.end(stage, "FINISHED")
        self._tree.end_all(status)
        self._tree.writer.resend()
        if self._plan.lone_stage and self._tree.parent_id:
            self._tree.writer.end(self._tree.parent_id, status)
        if status == "KILLED":
            self._session_run.close(status)
