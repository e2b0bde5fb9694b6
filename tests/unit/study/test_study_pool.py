"""Workers of a study: results come back, and an interruption does not wait for what they are at."""

import time
from multiprocessing import active_children

import pytest

from crqat_pipeline.study.pool import StudyPool

LONG_S = 600.0


def sleep(seconds, problem):
    """Work that takes its time; module-level, as a pool needs it."""
    time.sleep(seconds)
    return seconds


def test_results_come_back_with_their_jobs():
    with StudyPool(None, 1, 1) as pool:
        assert dict(pool.run([0.0, 0.01], sleep, "test")) == {0.0: 0.0, 0.01: 0.01}


def interrupted(interruption):
    with StudyPool(None, 1, 1) as pool:
        for _ in pool.run([0.0, LONG_S], sleep, "test"):
            raise interruption


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, SystemExit])
def test_an_interruption_ends_workers_at_once(interruption):
    started = time.monotonic()
    with pytest.raises(interruption):
        interrupted(interruption)
    assert time.monotonic() - started < LONG_S / 4
    assert not active_children()
