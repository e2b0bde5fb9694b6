"""The console says one line per node, and what a run is made for last."""

import logging

import pytest
from kedro.pipeline import Node, Pipeline

from crqat_pipeline.hooks.console import Console

TABLE = "AP  42"


@pytest.fixture
def lines(monkeypatch):
    said = []
    logger = logging.getLogger("crqat_pipeline")
    handler = logging.Handler()
    handler.emit = lambda record: said.append(record.getMessage())
    monkeypatch.setattr(logger, "propagate", False)
    monkeypatch.setattr(logger, "level", logging.INFO)
    logger.addHandler(handler)
    yield said
    logger.removeHandler(handler)


def begun():
    node = Node(lambda: 1, None, "figures", name="score")
    console = Console()
    console.before_pipeline_run(Pipeline([node]), {})
    console.before_node_run(node)
    logging.getLogger("crqat_pipeline.results").info("%s", TABLE)
    console.after_node_run(node)
    return console


def test_the_table_comes_after_everything_else(lines):
    begun().after_pipeline_run()
    assert lines[0] == " 1 of 1  score"
    assert lines[-2].startswith("All 1 nodes done")
    assert lines[-1] == TABLE
    assert lines.count(TABLE) == 1


def test_a_run_that_fails_later_shows_it_too(lines):
    begun().on_pipeline_error()
    assert lines[-1] == TABLE


def test_without_a_run_it_is_said_at_once(lines):
    logging.getLogger("crqat_pipeline.results").info("%s", TABLE)
    assert lines == [TABLE]
