"""Workers end with the run that started them: when it falls silent, or when another one takes its place."""

from __future__ import annotations

import time

from crqat_pipeline.training.workers.heartbeat import Watch, alive


class Clock:
    def __init__(self):
        self.seconds = 0.0

    def __call__(self):
        return self.seconds


def test_a_run_that_speaks_is_not_over_and_a_silent_one_is(tmp_path):
    clock = Clock()
    watch = Watch(tmp_path, "run", 10.0, clock)
    for count in range(1, 4):
        (tmp_path / "alive").write_text(f"run {count}")
        clock.seconds += 9.0
        assert not watch.is_over()
    clock.seconds += 10.5
    assert watch.is_over()


def test_a_run_that_takes_its_place_ends_it_at_once(tmp_path):
    watch = Watch(tmp_path, "run", 1e9)
    (tmp_path / "alive").write_text("run 1")
    assert not watch.is_over()
    (tmp_path / "alive").write_text("another 1")
    assert watch.is_over()


def test_a_folder_that_cannot_be_read_for_a_while_is_silence_and_no_error(tmp_path):
    clock = Clock()
    watch = Watch(tmp_path / "gone", "run", 10.0, clock)
    assert not watch.is_over()
    clock.seconds = 11.0
    assert watch.is_over()


def test_the_sign_of_life_is_there_from_the_start_and_gone_at_the_end(tmp_path):
    watch = Watch(tmp_path, "run", 60.0)
    with alive(tmp_path, "run"):
        until = time.monotonic() + 30
        while not (tmp_path / "alive").is_file() and time.monotonic() < until:
            time.sleep(0.01)
        assert (tmp_path / "alive").read_text().startswith("run ")
        assert not watch.is_over()
    assert not (tmp_path / "alive").exists()
