"""The node that runs a study: which tables it hands on."""

import inspect

import pytest

from crqat_pipeline.pipelines.study import nodes
from crqat_pipeline.training.tracker import NullTracker
from tests.support.tiny_study import STUDY, study_spec


def row(method, phase, seed):
    return {"method": method, "phase": phase, "seed": seed, "learning_rate": 1e-4, "failed": "", "AP": 0.5}


@pytest.mark.parametrize(("only", "handed_on"), [("late", {"late": 2}), ("", {"qat": 3, "late": 2})])
def test_a_method_that_only_lends_its_rate_keeps_the_table_it_has(monkeypatch, only, handed_on):
    """Its tuning cells alone would replace the file that has its figures too."""
    found = [row("qat", "tuning", 2), *(row("late", "final", seed) for seed in (0, 1))]
    found += [] if only else [row("qat", "final", seed) for seed in (0, 1)]
    monkeypatch.setattr(nodes, "truth", lambda *_: None)
    monkeypatch.setattr(nodes, "run_study", lambda *_: found)
    methods = {"qat": STUDY["methods"]["qat"], "late": {"label": "Late", "rate_of": "qat"}}
    tables = [{"title": "Main table", "methods": ["qat"]}]
    arguments = dict.fromkeys(inspect.signature(nodes.run).parameters)
    pareto = {"methods": ["qat"], "prompts": [6]}
    study = study_spec(methods=methods, tables=tables, pareto=pareto, only=only)
    arguments |= {"study": study, "tracker": NullTracker()}
    assert {name: len(table) for name, table in nodes.run(**arguments).items()} == handed_on
