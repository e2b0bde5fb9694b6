"""Tracking fails, the run goes on."""

import json
import logging

import pytest

from crqat_pipeline.hooks.tracking.guard import TrackingGuard
from crqat_pipeline.hooks.tracking.run_writer import RunWriter
from crqat_pipeline.hooks.tracking.tracker import Place, Tracker


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class DeadClient:
    num_calls = 0

    def log_batch(self, *arguments, **named) -> None:
        self.num_calls += 1
        raise ConnectionError("refused")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def guard(clock, tmp_path) -> TrackingGuard:
    guard = TrackingGuard(mute_s=60, clock=clock)
    guard.reset(tmp_path)
    return guard


def test_one_warning_per_outage_and_a_new_attempt_later(guard, clock, caplog, tmp_path):
    client = DeadClient()
    tracker = Tracker(lambda: Place(RunWriter(guard, client), "run1", "qat/"))
    clock.now = 1000.0
    with caplog.at_level(logging.WARNING):
        for step in range(5):
            tracker.metrics({"loss": 0.5}, step)
        assert client.num_calls == 1
        clock.now += 61
        tracker.metrics({"loss": 0.5}, 5)
    assert client.num_calls == 2
    assert sum("The run goes on without it" in line for line in caplog.messages) == 2
    kept = [json.loads(line) for line in (tmp_path / "tracking_fallback.jsonl").read_text().splitlines()]
    assert [row["step"] for row in kept] == [0, 1, 2, 3, 4, 5]
    assert kept[0]["metrics"] == {"qat/loss": 0.5}


def test_ends_are_tried_even_while_muted(guard, clock):
    clock.now = 1000.0
    calls = []
    guard.call(lambda: 1 / 0, "fail")
    assert guard.call(lambda: calls.append(1), "log") is None
    guard.call(lambda: calls.append(2), "end", even_if_muted=True)
    assert calls == [2]


def test_without_a_failure_nothing_is_kept(guard, tmp_path):
    Tracker(lambda: Place(RunWriter(guard, None), None, "")).metrics({"loss": 1.0}, 0)
    assert not (tmp_path / "tracking_fallback.jsonl").exists()


def test_a_missing_artifact_is_a_warning(guard, caplog, tmp_path):
    with caplog.at_level(logging.WARNING):
        Tracker(lambda: Place(RunWriter(guard, DeadClient()), "run1", "")).artifact(tmp_path / "none.png")
    assert "none.png" in caplog.text
