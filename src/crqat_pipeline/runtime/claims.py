"""Files that many processes make together, on one machine or on several that share a folder: each file by one of them.

Who makes a file says so in a claim beside it, and renews the claim while it works. A claim that nobody renews is of a
process that was lost, and the next number takes its place. Clocks of machines are not compared. Two may for a moment
make the same file where one of them was silent and yet lives; what is claimed must therefore give the same bytes
whoever makes it, and appear whole.
"""

from __future__ import annotations

import os
import socket
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from time import monotonic, sleep

from crqat_pipeline.runtime.repeating import repeating

EVERY_S = 1.0
PAUSE_S = 0.5
"""Between two looks of a process that has nothing to do yet."""
SILENCE_S = 60.0


class Claims:
    """Of one process. silence_s: a claim that is not renewed for so long is of a lost process.

    on_lost: called, by a thread, where another process has taken such a claim of ours over; the default goes on.
    """

    def __init__(
        self,
        silence_s: float = SILENCE_S,
        on_lost: Callable[[], None] = lambda: None,
        now: Callable[[], float] = monotonic,
    ) -> None:
        self._silence_s, self._on_lost, self._now = silence_s, on_lost, now
        self._seen: dict[Path, tuple[str, float]] = {}

    @contextmanager
    def on(self, target: Path) -> Iterator[bool]:
        """Yields whether this process is to make `target`; False where it is there, or another one is at it."""
        claim = None if target.is_file() else self._taken(target)
        if claim is not None and target.is_file():  # it was finished between the two looks
            _release(target, claim)
            claim = None
        if claim is None:
            yield False
            return
        try:
            with _renewed(target, claim, self._on_lost):
                yield True
        finally:
            _release(target, claim)

    def make(self, target: Path, make: Callable[[], object]) -> None:
        """`target` is there when this ends: made here, or by another process that was at it already."""
        while not target.is_file():
            with self.on(target) as is_ours:
                if is_ours:
                    make()
            if not is_ours and not target.is_file():
                sleep(PAUSE_S)

    def share_out(self, targets: Sequence[Path], take: Callable[[int], bool], is_over: Callable[[], bool]) -> None:
        """Until all targets are there or `is_over`. take: does something for target number i; False where it cannot."""
        while missing := [index for index, target in enumerate(targets) if not target.is_file()]:
            if is_over():
                return
            if not any(take(index) for index in missing):
                sleep(PAUSE_S)

    def _taken(self, target: Path) -> Path | None:
        target.parent.mkdir(parents=True, exist_ok=True)
        present = _claims_on(target)
        if present and not self._is_abandoned(present[-1]):
            return None
        claim = _claim(target, _number(present[-1]) + 1 if present else 0)
        try:
            with claim.open("x", encoding="utf-8") as file:
                file.write(f"{_own_place()} {os.getpid()} {uuid.uuid4().hex} {0:012d}")
        except FileExistsError:
            return None
        return claim

    def _is_abandoned(self, claim: Path) -> bool:
        try:
            said = claim.read_text(encoding="utf-8")
        except OSError:
            return False  # released in this moment
        place, _, rest = said.partition(" ")
        pid = rest.partition(" ")[0]
        if place == _own_place() and pid.isdigit() and not _lives(int(pid)):
            return True
        before, since = self._seen.get(claim, ("", self._now()))
        if said != before:
            since = self._now()
        self._seen[claim] = (said, since)
        return self._now() - since > self._silence_s


def _claim(target: Path, number: int) -> Path:
    return target.with_name(f".{target.name}.claim-{number:06d}")


def _claims_on(target: Path) -> list[Path]:
    head = f".{target.name}.claim-"
    return sorted(path for path in target.parent.iterdir() if path.name.startswith(head))


def _number(claim: Path) -> int:
    return int(claim.name[-6:])


@contextmanager
def _renewed(target: Path, claim: Path, on_lost: Callable[[], None]) -> Iterator[None]:
    head = claim.read_text(encoding="utf-8")[:-12]
    count = 0

    def renew() -> bool:
        nonlocal count
        count += 1
        try:
            with claim.open("r+", encoding="utf-8") as file:  # never made anew: it may have been taken over
                file.write(f"{head}{count:012d}")
        except FileNotFoundError:
            on_lost()
            return True
        except OSError:
            return False  # a full disk or a server that is away: the others judge silence
        if _claims_on(target)[-1:] not in ([claim], []):
            on_lost()
            return True
        return False

    with repeating(renew, EVERY_S, "claim"):
        yield


def _release(target: Path, claim: Path) -> None:
    """Ours, and those of lost processes before it."""
    for each in _claims_on(target):
        if each <= claim:
            with suppress(FileNotFoundError):
                each.unlink()


def _own_place() -> str:
    """Where process numbers mean the same: the machine, and the container on it."""
    try:
        room = str(Path("/proc/self/ns/pid").stat().st_ino)
    except OSError:
        room = "-"
    return f"{socket.gethostname().replace(' ', '_')}/{room}"


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
