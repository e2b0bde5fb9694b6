"""Steps that workers write down reach the run's tracker, each once."""

from __future__ import annotations

from crqat_pipeline.recipes.worker_lines import LineTracker, following


class Told:
    def __init__(self):
        self.steps = []

    def metrics(self, values, step):
        self.steps.append((step, dict(values)))


def test_every_step_arrives_once_even_if_workers_repeat_some(tmp_path):
    path, told = tmp_path / "lines.jsonl", Told()
    with following(path, told):
        first = LineTracker(path)
        for step in (1, 2, 3):
            first.metrics({"loss": float(step)}, step)
        with path.open("a") as file:
            file.write('{"step": 4, "val\n')  # killed while it wrote
        again = LineTracker(path)
        for step in (2, 3, 4):
            again.metrics({"loss": float(step)}, step)
    assert told.steps == [(step, {"loss": float(step)}) for step in (1, 2, 3, 4)]


def test_a_run_without_any_line_tells_nothing(tmp_path):
    told = Told()
    with following(tmp_path / "lines.jsonl", told):
        pass
    assert told.steps == []
