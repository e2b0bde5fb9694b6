"""Tracking may fail; the run goes on."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from mlflow.exceptions import MlflowException

from crqat_pipeline.hooks.tracking.report import Record
from crqat_pipeline.hooks.tracking.unsent import FALLBACK_NAME, append

logger = logging.getLogger(__name__)
Result = TypeVar("Result")

MUTE_S = 60.0
"""How long the server is left alone after a failure, in seconds."""

REFUSALS = ("INVALID_PARAMETER_VALUE", "BAD_REQUEST")
"""The server is well and says no to this one value."""


class TrackingGuard:
    """Calls the tracking server so that no failure reaches the run.

    After a failure the server is left alone for `mute_s` seconds; what could not be sent is kept as JSON lines in
    `tracking_fallback.jsonl` in the project folder.
    """

    def __init__(self, mute_s: float = MUTE_S, clock: Callable[[], float] = time.monotonic) -> None:
        self._mute_s = mute_s
        self._clock = clock
        self._muted_until = 0.0
        self._has_failed = False
        self.folder = Path.cwd()

    def reset(self, folder: Path) -> None:
        """A new run begins; `folder` takes the fallback file."""
        self.folder = folder
        self._muted_until = 0.0
        self._has_failed = False

    @property
    def is_muted(self) -> bool:
        return self._clock() < self._muted_until

    def call(self, action: Callable[[], Result], what: str, *, even_if_muted: bool = False) -> Result | None:
        """action(), or None when the server is muted or fails (one warning per outage)."""
        was_muted = self.is_muted
        if was_muted and not even_if_muted:
            return None
        try:
            return action()
        except MlflowException as error:
            if error.error_code in REFUSALS:
                logger.warning("MLflow would not %s: %s", what, error.message[:200])
                return None
            self._fail(error, what, was_muted)
        except Exception as error:
            self._fail(error, what, was_muted)
        return None

    def _fail(self, error: Exception, what: str, was_muted: bool) -> None:
        self._has_failed = True
        self._muted_until = self._clock() + self._mute_s
        first_line = (str(error).splitlines() or [type(error).__name__])[0]
        logger.log(
            logging.DEBUG if was_muted else logging.WARNING,
            "MLflow could not %s: %s. The run goes on without it; next attempt in %.0f s, values meanwhile in %s.",
            what,
            first_line[:200],
            self._mute_s,
            FALLBACK_NAME,
        )

    @property
    def fallback_path(self) -> Path:
        return self.folder / FALLBACK_NAME

    def keep(self, record: Record) -> bool:
        """Append what could not be sent to the fallback file; whether it was worth keeping.

        Without a failure in this run nothing is kept: tracking is then switched off on purpose.
        """
        if self._has_failed:
            append(self.fallback_path, record)
        return self._has_failed
