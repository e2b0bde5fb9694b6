"""Files that several processes make together: each by one, and what a lost one was at by another."""

from __future__ import annotations

import subprocess
import sys
import threading
import time

import pytest

from crqat_pipeline.runtime.claims import Claims

A_HOLDER = """
import os, signal, socket, sys
from pathlib import Path
socket.gethostname = lambda: sys.argv[2]
from crqat_pipeline.runtime.claims import Claims
with Claims().on(Path(sys.argv[1])) as is_ours:
    os.kill(os.getpid(), signal.SIGKILL)
"""


def lost_holder(target, host):
    """A process on this host claims the file and is killed."""
    subprocess.run([sys.executable, "-c", A_HOLDER, str(target), host], check=False, timeout=60)


def is_taken(claims, target):
    with claims.on(target) as is_ours:
        return is_ours


def test_one_at_a_time_and_nobody_once_the_file_is_there(tmp_path):
    target = tmp_path / "row.json"
    with Claims().on(target) as first, Claims().on(target) as second:
        assert (first, second) == (True, False)
    assert is_taken(Claims(), target)
    target.write_text("{}")
    assert not is_taken(Claims(), target)
    assert list(tmp_path.iterdir()) == [target]


def test_a_lost_process_of_this_machine_is_replaced_at_once(tmp_path):
    import socket

    target = tmp_path / "row.json"
    lost_holder(target, socket.gethostname())
    assert list(tmp_path.iterdir())
    assert is_taken(Claims(), target)
    assert not list(tmp_path.iterdir())


def test_a_lost_process_of_another_machine_is_replaced_when_it_has_been_silent(tmp_path):
    target, clock = tmp_path / "row.json", [0.0]
    claims = Claims(silence_s=5.0, now=lambda: clock[0])
    lost_holder(target, "elsewhere")
    assert not is_taken(claims, target)
    clock[0] = 4.9
    assert not is_taken(claims, target)
    clock[0] = 5.1
    assert is_taken(claims, target)


def test_whoever_is_replaced_hears_of_it(tmp_path):
    lost = threading.Event()
    with Claims(on_lost=lost.set).on(tmp_path / "row.json") as is_ours:
        assert is_ours
        assert not lost.wait(0.1)
        next(tmp_path.iterdir()).unlink()  # as another one does when it has made the file
        assert lost.wait(10)


def test_an_error_lets_go(tmp_path):
    target = tmp_path / "row.json"
    with pytest.raises(ValueError, match="no"), Claims().on(target):
        raise ValueError("no")
    assert is_taken(Claims(), target)


def test_what_another_one_makes_is_waited_for(tmp_path):
    target, made = tmp_path / "student.safetensors", []

    def make():
        made.append(1)
        time.sleep(0.3)
        target.write_text("weights")

    both = [threading.Thread(target=Claims().make, args=(target, make)) for _ in range(2)]
    for each in both:
        each.start()
    for each in both:
        each.join(20)
    assert made == [1]


def test_pieces_are_shared_out_and_each_is_made_once(tmp_path):
    targets, made = [tmp_path / f"shard-{number}" for number in range(12)], []

    def work():
        claims = Claims()

        def take(index):
            with claims.on(targets[index]) as is_ours:
                if is_ours:
                    made.append(index)
                    time.sleep(0.01)
                    targets[index].write_text("done")
            return is_ours

        claims.share_out(targets, take, lambda: False)

    workers = [threading.Thread(target=work) for _ in range(3)]
    for each in workers:
        each.start()
    for each in workers:
        each.join(30)
    assert sorted(made) == list(range(12))


def test_what_is_over_is_left(tmp_path):
    Claims().share_out([tmp_path / "never"], lambda index: False, lambda: True)
