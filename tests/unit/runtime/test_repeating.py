"""What a thread does again and again beside the work."""

from threading import Event

import pytest

from crqat_pipeline.runtime.repeating import repeating

LIMIT_S = 30.0


def test_it_is_done_at_once_and_again_until_the_block_ends():
    calls, third = [], Event()

    def act():
        calls.append(len(calls))
        if len(calls) == 3:
            third.set()

    with repeating(act, 0.01, "count"):
        assert third.wait(LIMIT_S)
    told = len(calls)
    assert calls == list(range(told))
    assert not Event().wait(0.05)
    assert len(calls) == told


def test_true_ends_it():
    calls, done = [], Event()

    def act():
        calls.append(1)
        done.set()
        return True

    with repeating(act, 0.0, "once"):
        assert done.wait(LIMIT_S)
    assert calls == [1]


def test_it_ends_with_a_block_that_fails():
    calls = []
    with pytest.raises(KeyError), repeating(lambda: calls.append(1), 0.001, "fails"):
        raise KeyError
    told = len(calls)
    assert not Event().wait(0.05)
    assert len(calls) == told
