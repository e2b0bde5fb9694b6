"""Which nodes make up which stage, and which of them are done."""

from __future__ import annotations

from kedro.pipeline import Pipeline
from kedro.pipeline.node import Node


def stage_of(node: Node) -> str | None:
    """The top namespace of a node: `baselines` for `baselines.qat.train`."""
    return node.namespace.split(".")[0] if node.namespace else None


def namespace_prefix(node: Node) -> str:
    """What stands between stage and node, as a prefix of names: `qat/` for `baselines.qat.train`."""
    return "".join(f"{part}/" for part in (node.namespace or "").split(".")[1:])


class StagePlan:
    """The stages of a pipeline in the order in which their first nodes run."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._nodes: dict[str, list[Node]] = {}
        for node in pipeline.nodes:
            stage = stage_of(node)
            if stage:
                self._nodes.setdefault(stage, []).append(node)
        self._remaining = {stage: {node.name for node in nodes} for stage, nodes in self._nodes.items()}
        has_stray_nodes = any(stage_of(node) is None for node in pipeline.nodes)
        self.lone_stage = next(iter(self._nodes)) if len(self._nodes) == 1 and not has_stray_nodes else None

    @property
    def finished(self) -> set[str]:
        """Stages all of whose nodes have run."""
        return {stage for stage, names in self._remaining.items() if not names}

    def complete(self, node: Node) -> None:
        stage = stage_of(node)
        if stage:
            self._remaining[stage].discard(node.name)

    def inputs(self, stage: str) -> set[str]:
        """What the stage reads and does not make itself: datasets and parameters."""
        nodes = self._nodes.get(stage, [])
        made = {name for node in nodes for name in node.outputs}
        return {name for node in nodes for name in node.inputs} - made
