"""Something that is done again and again beside the work, by a thread that ends with it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def repeating(act: Callable[[], bool | None], every_s: float, name: str) -> Iterator[None]:
    """Within the block a thread calls `act` at once and then every `every_s` seconds, until it returns True.

    No call is going on any more when the block has ended.
    """
    ended = threading.Event()

    def repeat() -> None:
        while not act() and not ended.wait(every_s):
            pass

    thread = threading.Thread(target=repeat, name=name, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
