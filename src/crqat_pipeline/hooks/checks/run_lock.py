"""One run at a time in one data_root: a second one would read what the first is writing."""

from __future__ import annotations

import atexit
import json
import logging
import os
import socket
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import IO, Any

import click
from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl
from kedro.io import DatasetError

from crqat_pipeline.runtime.command_line import typed_command

try:
    import fcntl
except ImportError:  # pragma: no cover (Windows has no such locks; runs are not kept apart there)
    fcntl = None  # type: ignore[assignment]

LOCK_FILE = ".run.lock"
logger = logging.getLogger(__name__)


class RunRefusedError(DatasetError, click.ClickException):
    """Another run is at work, or nothing can be written; the command line prints it without a traceback."""


class FolderLock:
    """An advisory lock on a file in the folder, which says who holds it.

    The system lets go of the lock when its process ends, however it ends, so a file that is left over holds nobody
    up. Processes that the holder starts do not share it.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / LOCK_FILE
        self._file: IO[str] | None = None

    def acquire(self) -> None:
        """Raises RunRefusedError that names the holder when another process has it, and for a folder nobody can write.

        A file system without locks gives a warning.
        """
        if self._file is not None or fcntl is None:
            return
        file = self._locked()
        if file is None:
            return
        self._file = file
        holder = {
            "pid": os.getpid(),
            "host": socket.gethostname(),
            "command": typed_command(),
            "since": datetime.now().astimezone().isoformat(timespec="seconds"),
        }
        file.truncate(0)
        file.write(json.dumps(holder) + "\n")
        file.flush()

    def _locked(self) -> IO[str] | None:
        while True:
            file = self._opened()
            try:
                fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except (BlockingIOError, PermissionError):
                with file:
                    raise RunRefusedError(self._held_by(file)) from None
            except OSError as error:
                file.close()
                logger.warning("%s cannot be locked (%s): start no second run there.", self.path.parent, error.strerror)
                return None
            if self._is_in_place(file):
                return file
            file.close()  # its holder removed it between our opening and our locking

    def _opened(self) -> IO[str]:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            return self.path.open("a+", encoding="utf-8")
        except OSError as error:
            raise RunRefusedError(
                f"A run writes to its data_root; {self.path.parent} cannot be written ({error.strerror}). Nothing was "
                "run. Choose another data_root in globals.yml of an environment."
            ) from error

    def release(self) -> None:
        """Remove the file and let go; nothing happens without the lock."""
        if self._file is None:
            return
        with suppress(OSError):
            self.path.unlink()
        self._file.close()
        self._file = None

    def _is_in_place(self, file: IO[str]) -> bool:
        try:
            return os.path.samestat(os.fstat(file.fileno()), self.path.stat())
        except FileNotFoundError:
            return False

    def _held_by(self, file: IO[str]) -> str:
        try:
            file.seek(0)
            holder = json.loads(file.read())
            who = f"process {holder['pid']} on {holder['host']}, since {holder['since']}: {holder['command']}"
        except (OSError, ValueError, KeyError, TypeError):
            who = "its process has not written its name yet"
        return (
            f"One run at a time may write to {self.path.parent}, and another one is at work ({who}). Nothing was run. "
            "Wait for it or end it; runs that write elsewhere (an environment with a data_root of its own) are free."
        )


class RunLock:
    """Holds the lock of the data_root from the first check of a run to its end."""

    def __init__(self) -> None:
        self._folder: Path | None = None
        self._lock: FolderLock | None = None
        self._pid = 0

    @hook_impl
    def after_context_created(self, context: KedroContext) -> None:
        """Where the run will write: `data_root` of globals.yml, relative to the project."""
        self._folder = None
        with suppress(KeyError):
            content: dict[str, Any] = context.config_loader["globals"]
            self._folder = (Path(context.project_path) / content["data_root"]).resolve()

    @hook_impl(tryfirst=True)
    def before_pipeline_run(self) -> None:
        self._release()
        if self._folder is not None:
            self._lock, self._pid = FolderLock(self._folder), os.getpid()
            self._lock.acquire()
            atexit.register(self._release)  # Ctrl-C and SIGTERM

    @hook_impl(trylast=True)
    def after_pipeline_run(self) -> None:
        self._release()

    @hook_impl(trylast=True)
    def on_pipeline_error(self) -> None:
        self._release()

    def _release(self) -> None:
        if self._lock is not None and self._pid == os.getpid():  # not a copy in a process that this one started
            self._lock.release()
            self._lock = None
            atexit.unregister(self._release)
