"""Frames of video files, through OpenCV where it is installed. live_video has those of cameras and streams."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

VIDEO_SUFFIXES = (".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v")
CODEC = "mp4v"


class Frame(NamedTuple):
    """number counts from 0; time_s from the start of the video."""

    number: int
    time_s: float
    image: Image.Image


def is_video(path: Path) -> bool:
    return path.suffix.lower() in VIDEO_SUFFIXES


@dataclass
class FrameCount:
    """num_dropped: frames that were wanted and that could not be decoded."""

    num_dropped: int = 0


def open_capture(source: str | int) -> Any:
    """OpenCV's reader of a file, a stream, or the camera of this number; ask it whether it is open.

    Raises ValueError if OpenCV is missing.
    """
    return _opencv().VideoCapture(source)


def read_frames(path: Path, every: int = 1, count: FrameCount | None = None) -> Iterator[Frame]:
    """Every n-th frame in RGB. Raises ValueError if OpenCV is missing or the file holds no frame."""
    capture = open_capture(str(path))
    try:
        rate = frame_rate(path)
        index = 0
        while capture.grab():
            if index % every == 0:
                is_whole, pixels_HW3 = capture.retrieve()
                if not is_whole and count is not None:
                    count.num_dropped += 1
                if is_whole:
                    yield Frame(index, index / rate, Image.fromarray(pixels_HW3[:, :, ::-1].copy()))
            index += 1
    finally:
        capture.release()
    if index == 0:
        raise ValueError(f"{path} holds no frame that OpenCV can read. Convert it to H.264 in an .mp4 file.")


def count_frames(path: Path) -> int | None:
    """Frames as the file's header says, None if it does not."""
    count = int(_property(path, "CAP_PROP_FRAME_COUNT"))
    return count if count > 0 else None


def frame_rate(path: Path) -> float:
    """Frames per second; 25 where the file does not say."""
    rate = _property(path, "CAP_PROP_FPS")
    return rate if rate > 0 else 25.0


def write_video(path: Path, images: Iterable[Image.Image], rate: float) -> int:
    """An .mp4 of equally large RGB images; returns how many were written. Raises OSError if the file cannot be made."""
    cv2 = _opencv()
    writer = None
    count = 0
    try:
        for image in images:
            if writer is None:
                path.parent.mkdir(parents=True, exist_ok=True)
                writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*CODEC), rate, image.size)
                if not writer.isOpened():
                    raise OSError(f"OpenCV cannot write a video of {image.width} × {image.height} px to {path}.")
            writer.write(np.asarray(image)[:, :, ::-1])
            count += 1
    finally:
        if writer is not None:
            writer.release()
    return count


def _property(path: Path, name: str) -> float:
    capture = open_capture(str(path))
    try:
        return float(capture.get(getattr(_opencv(), name)))
    finally:
        capture.release()


def _opencv() -> Any:
    try:
        import cv2
    except ImportError as error:
        raise ValueError(
            "Video files need OpenCV: pip install 'crqat-pipeline[video]'. Or extract the frames as images."
        ) from error
    return cv2
