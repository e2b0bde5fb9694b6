"""SIGTERM as an exception, so that what is open is closed and half-written files go; Ctrl-C as a wish."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

SIGINT_EXIT_CODE = 128 + signal.SIGINT
SIGTERM_EXIT_CODE = 128 + signal.SIGTERM


def exit_on_sigterm(number: int, frame: FrameType | None) -> NoReturn:
    """A signal handler that unwinds like Ctrl-C, so that files are closed and atexit functions run."""
    sys.exit(SIGTERM_EXIT_CODE)


@contextmanager
def sigterm_raises() -> Iterator[None]:
    """Within the block SIGTERM raises SystemExit(143). A handler set by somebody else, and other threads, stay."""
    is_ours = threading.current_thread() is threading.main_thread() and (
        signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    )
    if is_ours:
        signal.signal(signal.SIGTERM, exit_on_sigterm)
    try:
        yield
    finally:
        if is_ours:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)


@contextmanager
def interrupt_noted() -> Iterator[Callable[[], bool]]:
    """Within the block the first Ctrl-C raises nothing; the yielded function then says True. The second one interrupts.

    Other threads than the main one cannot ask for this: there it always says False.
    """
    noted = threading.Event()
    is_ours = threading.current_thread() is threading.main_thread()
    previous = signal.getsignal(signal.SIGINT)

    def note(number: int, frame: FrameType | None) -> None:
        if noted.is_set():
            raise KeyboardInterrupt
        noted.set()

    if is_ours:
        signal.signal(signal.SIGINT, note)
    try:
        yield noted.is_set
    finally:
        if is_ours:
            signal.signal(signal.SIGINT, previous)
