"""Ctrl-C and SIGTERM end the runs as KILLED, where MLflow alone would write FINISHED or leave them RUNNING."""

from __future__ import annotations

import atexit
import signal
import threading
from collections.abc import Callable

from crqat_pipeline.runtime.termination import exit_on_sigterm


class Interruption:
    """Calls `on_interrupted` when the process ends between watch() and release(); atexit runs it before MLflow's own.

    A SIGTERM handler set by somebody else, and calls from other threads, are left alone.
    """

    def __init__(self, on_interrupted: Callable[[], None]) -> None:
        self._on_interrupted = on_interrupted
        self._is_watching = False
        self._is_registered = False

    def watch(self) -> None:
        self._is_watching = True
        if not self._is_registered:
            atexit.register(self._at_exit)
            self._is_registered = True
        if self._in_main_thread() and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
            signal.signal(signal.SIGTERM, exit_on_sigterm)

    def release(self) -> None:
        self._is_watching = False
        if self._in_main_thread() and signal.getsignal(signal.SIGTERM) is exit_on_sigterm:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)

    def settle(self) -> None:
        """End what an earlier, interrupted run of this process (a notebook's) left open."""
        self._at_exit()

    def _at_exit(self) -> None:
        if self._is_watching:
            self.release()
            self._on_interrupted()

    @staticmethod
    def _in_main_thread() -> bool:
        return threading.current_thread() is threading.main_thread()
