"""One line when a node starts and one when it is done, in place of Kedro's four; at the end, what to look at."""

from __future__ import annotations

import logging
from time import perf_counter
from typing import Any

from kedro.framework.hooks import hook_impl
from kedro.pipeline import Pipeline
from kedro.pipeline.node import Node

logger = logging.getLogger("crqat_pipeline")
RESULTS = logging.getLogger("crqat_pipeline.results")


class Kept(logging.Handler):
    """Keeps what the loggers below it are told until it is asked for."""

    def __init__(self) -> None:
        super().__init__()
        self._records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self._records.append(record)

    def pass_on(self) -> None:
        """To the handlers of the console, in order, and forget it."""
        kept, self._records = self._records, []
        for record in kept:
            logger.handle(record)


class Console:
    """`12 of 20  stage1_backbone.train`, then `... done in 31.4 s`.

    Datasets with `metadata: {show: <title>}` are listed with their paths when the run is over. What is told to
    the logger RESULTS, a table of figures, comes last, also where a later node fails.
    """

    def __init__(self) -> None:
        self._num_nodes = 0
        self._num_started = 0
        self._started_s: dict[str, float] = {}
        self._run_started_s = 0.0
        self._catalog: Any = None
        self._to_show: dict[str, str] = {}
        self._results = Kept()

    @hook_impl
    def before_pipeline_run(self, pipeline: Pipeline, catalog: Any) -> None:
        self._catalog, self._to_show = catalog, {}
        self._num_nodes, self._num_started = len(pipeline.nodes), 0
        self._run_started_s = perf_counter()
        RESULTS.addHandler(self._results)
        RESULTS.propagate = False

    @hook_impl
    def before_node_run(self, node: Node) -> None:
        self._num_started += 1
        self._started_s[node.name] = perf_counter()
        logger.info("%2d of %d  %s", self._num_started, self._num_nodes, node.name)

    @hook_impl
    def after_node_run(self, node: Node) -> None:
        logger.info("          %s done in %.1f s", node.name, perf_counter() - self._started_s[node.name])

    @hook_impl
    def after_dataset_saved(self, dataset_name: str) -> None:
        dataset = self._catalog.get(dataset_name)
        title = (getattr(dataset, "metadata", None) or {}).get("show")
        if title:
            self._to_show[title] = str(dataset._filepath)

    @hook_impl
    def after_pipeline_run(self) -> None:
        logger.info("All %d nodes done in %.1f s", self._num_nodes, perf_counter() - self._run_started_s)
        for title, path in self._to_show.items():
            logger.info("%s: %s", title, path)
        self._show_results()

    @hook_impl
    def on_pipeline_error(self) -> None:
        self._show_results()

    def _show_results(self) -> None:
        RESULTS.removeHandler(self._results)
        RESULTS.propagate = True
        self._results.pass_on()
