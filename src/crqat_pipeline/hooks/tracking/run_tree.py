"""One run per stage under one parent run, opened when the stage's first node starts."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID, MLFLOW_RUN_NAME

from crqat_pipeline.hooks.tracking.run_writer import RunWriter

STAGE_TAG = "stage"
GROUP_TAG = "crqat.group"


@dataclass
class RunTree:
    """The runs of one session.

    parent_id: the run above the stages; None when tracking is off or a lone stage has no group.
    run_ids: the run of each stage that has begun. All calls go by run id, not by MLflow's active run, so stages whose
    nodes interleave, and runners with threads, each report to the right run.
    foreign_tags: tag -> stages that it says nothing about: no width stands on a full-precision teacher.
    """

    writer: RunWriter
    experiment_id: str = ""
    parent_id: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    foreign_tags: Mapping[str, Collection[str]] = field(default_factory=dict)
    run_ids: dict[str, str | None] = field(default_factory=dict)
    open_stages: set[str] = field(default_factory=set)

    def begin(self, stage: str, describe: Callable[[str | None], None]) -> str | None:
        """The stage's run, opened on first use; describe(run id) is then called once."""
        if stage not in self.run_ids:
            self.run_ids[stage] = self.writer.create(self.experiment_id, stage, self._stage_tags(stage))
            self.open_stages.add(stage)
            describe(self.run_ids[stage])
        return self.run_ids[stage]

    def adopt(self, stage: str, run_id: str | None, describe: Callable[[str | None], None]) -> None:
        """A session of one stage: its run already exists; put it under the group's parent, if there is one."""
        self.run_ids[stage] = run_id
        self.open_stages.add(stage)
        self.writer.tags(run_id, self._stage_tags(stage) | {MLFLOW_RUN_NAME: stage})
        describe(run_id)

    def _stage_tags(self, stage: str) -> dict[str, str]:
        parent = {MLFLOW_PARENT_RUN_ID: self.parent_id} if self.parent_id else {}
        own = {tag: value for tag, value in self.tags.items() if stage not in self.foreign_tags.get(tag, ())}
        return {**own, STAGE_TAG: stage, **parent}

    def group_parent(self, group: str) -> str | None:
        """The parent run of this group, made if missing, shown as running."""
        run_id = self.writer.find(self.experiment_id, GROUP_TAG, group)
        if run_id is None:
            shared = {name: value for name, value in self.tags.items() if name != "dvc.stage"}
            return self.writer.create(self.experiment_id, group, {**shared, GROUP_TAG: group})
        self.writer.reopen(run_id)
        return run_id

    def end(self, stage: str, status: str) -> None:
        if stage in self.open_stages:
            self.open_stages.discard(stage)
            self.writer.end(self.run_ids[stage], status)

    def end_all(self, status: str) -> None:
        for stage in sorted(self.open_stages):
            self.end(stage, status)
