import threading
import time

import numpy as np
import pytest

from crqat_pipeline.inference.address import Address
from crqat_pipeline.inference.live_video import LiveVideo, at_rate
from crqat_pipeline.inference.video import Frame

cv2 = pytest.importorskip("cv2")


class Camera:
    """Gives its frames at once, and after each of `stops` only when it is allowed to."""

    def __init__(self, num_frames, stops=()):
        self.num_frames, self.number = num_frames, 0
        self.gates = {stop: threading.Event() for stop in stops}
        self.is_released, self.waits_at = False, None

    def isOpened(self):
        return self.num_frames >= 0

    def get(self, what):
        return 10.0

    def read(self):
        if self.number in self.gates:
            self.waits_at = self.number
            assert self.gates[self.number].wait(60)
        if self.number == self.num_frames:
            return False, None
        self.number += 1
        return True, np.full((4, 6, 3), (1, 2, self.number), np.uint8)

    def release(self):
        self.is_released = True


def never():
    return False


def wait_for(condition):
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_the_newest_frame_is_looked_at_and_the_others_are_counted():
    camera = Camera(8, stops=(1, 6))
    with LiveVideo(Address("camera:0"), lambda source: camera) as video:
        frames = video.frames(None, never)
        first = next(frames)
        camera.gates[1].set()
        wait_for(lambda: camera.waits_at == 6)
        second = next(frames)
        camera.gates[6].set()
        rest = list(frames)
    assert [first.number, second.number] == [0, 5]
    assert rest[-1].number == 7
    assert video.num_dropped == 8 - 2 - len(rest)
    assert first.image.getpixel((0, 0)) == (1, 2, 1)
    assert first.image.size == (6, 4)
    assert camera.is_released


def test_it_ends_when_somebody_says_so():
    camera = Camera(2, stops=(1,))
    with LiveVideo(Address("camera:0"), lambda source: camera) as video:
        over = threading.Event()
        frames = video.frames(None, over.is_set)
        assert next(frames).number == 0
        over.set()
        assert list(frames) == []
        camera.gates[1].set()
    with (
        pytest.raises(ValueError, match="camera:0 gave no frame"),
        LiveVideo(Address("camera:0"), lambda _: Camera(0)) as empty,
    ):
        list(empty.frames(None, never))
    with pytest.raises(ValueError, match="camera:9 does not open"):
        LiveVideo(Address("camera:9"), lambda source: Camera(-1))


def test_a_video_of_it_runs_in_real_time():
    times = [5.0, 5.1, 5.5, 5.6]
    frames = [Frame(number, time_s, None) for number, time_s in enumerate(times)]
    assert [frame.number for frame in at_rate(frames, 10.0)] == [0, 1, 1, 1, 1, 2, 3]
