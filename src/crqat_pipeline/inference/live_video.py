"""Frames of a camera or stream, always the newest: what comes while one is looked at is dropped and counted."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import Any

from PIL import Image

from crqat_pipeline.inference.address import Address
from crqat_pipeline.inference.video import Frame, open_capture

DEFAULT_RATE = 25.0
MAX_REPEATS = 250
LOOK_S = 0.2
"""Between two looks at whether it is over."""
WAIT_S = 30.0
"""For the next frame: a stream that is silent for so long has ended."""


def at_rate(frames: Iterable[Frame], rate: float) -> Iterator[Frame]:
    """Each frame as often as it stands until the next one, so that a video of them runs in real time."""
    previous, start, shown = None, 0.0, 0
    for frame in frames:
        if previous is None:
            start = frame.time_s
        else:
            for _ in range(min(round((frame.time_s - start) * rate) - shown, MAX_REPEATS)):
                yield previous
                shown += 1
        yield frame
        previous, shown = frame, shown + 1


class LiveVideo:
    """A context that reads in a thread of its own. num_dropped: frames that came and were not looked at."""

    def __init__(self, address: Address, open_source: Callable[[str | int], Any] = open_capture) -> None:
        """Raises ValueError if OpenCV is missing, or opens no such camera or stream."""
        camera = address.camera
        self.address, self._capture = address, open_source(str(address) if camera is None else camera)
        if not self._capture.isOpened():
            raise ValueError(f"{address} does not open. Check that it is there and that no other program has it.")
        self.num_dropped = 0
        self._newest: tuple[int, float, Any] | None = None
        self._has_ended, self._is_wanted = False, True
        self._news = threading.Condition()
        self._thread = threading.Thread(target=self._read, daemon=True)

    @property
    def rate(self) -> float:
        """Frames per second as the source says; 25 where it does not."""
        import cv2

        rate = float(self._capture.get(cv2.CAP_PROP_FPS))
        return rate if 0 < rate <= 240 else DEFAULT_RATE

    def __enter__(self) -> LiveVideo:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._is_wanted = False
        self._thread.join(WAIT_S)
        self._capture.release()

    def frames(self, seconds: float | None, is_over: Callable[[], bool]) -> Iterator[Frame]:
        """The newest frame each time, in RGB, until the source ends, falls silent, or it is over.

        Numbers count every frame that came. Raises ValueError if none did.
        """
        start, last = time.monotonic(), -1
        while not is_over() and (seconds is None or time.monotonic() - start < seconds):
            taken = self._next(is_over)
            if taken is None:
                break
            number, arrived, pixels_HW3 = taken
            self.num_dropped += number - last - 1
            last = number
            yield Frame(number, arrived - start, Image.fromarray(pixels_HW3[:, :, ::-1].copy()))
        if last < 0:
            raise ValueError(f"{self.address} gave no frame. Check the camera or stream.")

    def _next(self, is_over: Callable[[], bool]) -> tuple[int, float, Any] | None:
        silent_until = time.monotonic() + WAIT_S
        with self._news:
            while self._newest is None and not self._has_ended and time.monotonic() < silent_until and not is_over():
                self._news.wait(LOOK_S)
            taken, self._newest = self._newest, None
        return taken

    def _read(self) -> None:
        number = 0
        while self._is_wanted:
            is_whole, pixels_HW3 = self._capture.read()
            if not is_whole:
                break
            with self._news:
                self._newest = (number, time.monotonic(), pixels_HW3)
                self._news.notify()
            number += 1
        with self._news:
            self._has_ended = True
            self._news.notify()
