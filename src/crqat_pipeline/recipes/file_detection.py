"""Image and video files, one after another, through a predictor: what is found, drawn and written, whatever fails."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

from PIL import Image

from crqat_pipeline.inference import Predictor, draw_detections, open_image
from crqat_pipeline.inference.address import Address
from crqat_pipeline.inference.live_video import LiveVideo, at_rate
from crqat_pipeline.inference.record import detection_rows
from crqat_pipeline.inference.result_files import RESULT_FILES, FoundBy, ResultFiles
from crqat_pipeline.inference.result_folder import OutputError, writing_to
from crqat_pipeline.inference.video import (
    Frame,
    FrameCount,
    count_frames,
    frame_rate,
    is_video,
    read_frames,
    write_video,
)
from crqat_pipeline.inference.web_image import fetch_image
from crqat_pipeline.recipes.annotation_ids import AnnotationIds
from crqat_pipeline.runtime.progress import progress
from crqat_pipeline.runtime.termination import interrupt_noted
from crqat_pipeline.structures.output import Detections
from crqat_pipeline.structures.vocabulary import TextBank

Record = Mapping[str, Any]
RECORDS = 2
"""Version of what a record holds: an interrupted run is gone on with by a program that writes the same."""


class ResultSink(Protocol):
    """Where records go: a ResultFolder, or a RecordStream, which draws nothing (its places are None)."""

    def place(self, name: Path, suffix: str | None) -> Path | None: ...

    def temporary(self, place: Path) -> Path: ...

    def add(self, record: Record) -> None: ...

    def finish(self, file: Path | Address, record: Record, place: Path | None = None) -> None: ...


@dataclass(frozen=True)
class Question:
    """What is looked for, with which model. prompts, vocabulary: as Predictor.predict takes them.

    every: of a video, each n-th frame. seconds: of a camera or stream, at most so many. ids: what prompts and files are
    in an annotation file. Raises ValueError for prompts that cannot be asked.
    """

    model: Path
    predictor: Predictor
    prompts: Sequence[str] | None
    vocabulary: str | None
    score_threshold: float
    max_detections: int
    every: int
    seconds: float | None = None
    ids: AnnotationIds | None = None

    @cached_property
    def bank(self) -> TextBank:
        """Prompts, which labels are rows of, and their embeddings."""
        return self.predictor.text_bank(self.prompts, self.vocabulary)

    @property
    def head(self) -> dict[str, Any]:
        """What the document of results begins with."""
        return {"model": str(self.model), "prompts": list(self.bank.prompts)}

    @property
    def notes(self) -> tuple[str, ...]:
        return () if self.ids is None else self.ids.notes

    def result_files(self, kinds: Iterable[str], sources: Iterable[tuple[Path | Address, Path]]) -> list[ResultFiles]:
        """Writers of these rows of RESULT_FILES. sources: (file, name of its result)."""
        names = {str(file): name for file, name in sources}
        found = FoundBy(self.bank.prompts, names)
        if self.ids is not None:
            found = replace(found, image_ids=self.ids.image_ids, category_ids=self.ids.category_ids)
        return [RESULT_FILES[kind](found) for kind in dict.fromkeys(kinds)]

    def ask(self, image: Image.Image) -> Detections:
        return self.predictor.predict([image], self.bank, None, self.score_threshold, self.max_detections)[0]

    def digest(self) -> str:
        """Two commands that find the same things in the same files have the same."""
        whole = hashlib.sha256()
        with self.model.open("rb") as file:
            whole.update(hashlib.file_digest(file, "sha256").digest())
        whole.update(self.bank.embeddings_KD.contiguous().float().numpy().tobytes())
        options = (self.score_threshold, self.max_detections, self.every, self.predictor.image_size_px, RECORDS)
        whole.update(json.dumps([self.bank.prompts, self.bank.encoder, *options]).encode())
        return whole.hexdigest()[:16]


@dataclass(frozen=True)
class FileDetection:
    """report: called with each record when the sink has it."""

    question: Question
    sink: ResultSink
    report: Callable[[Record], None]

    def run(self, files: Iterable[tuple[Path | Address, Path]]) -> list[Record]:
        """The records of files that failed. files: (path or address, name for its result).

        Whatever goes wrong with one file is its record's "error". Raises OutputError when results cannot be written:
        no later file would fare better.
        """
        failed: list[Record] = []
        for file, name in files:
            try:
                if isinstance(file, Address) and file.is_live:
                    self._live(file, name)
                elif isinstance(file, Path) and is_video(file):
                    self._video(file, name)
                else:
                    self._image(file, name)
            except OutputError:
                raise
            except Exception as error:  # decoders raise anything; the other files must go on
                record = {"image": str(file), "error": _reason(file, error)}
                self._finish(file, record, None)
                failed.append(record)
        return failed

    def _image(self, file: Path | Address, name: Path) -> None:
        image = open_image(file) if isinstance(file, Path) else _from_web(file)
        found = self.question.ask(image)
        record: dict[str, Any] = {"image": str(file), "width_px": image.width, "height_px": image.height}
        place = self.sink.place(name, None)
        if place is not None:
            picture = draw_detections(image, found, self.question.bank.prompts)
            with writing_to(place):
                picture.save(self.sink.temporary(place), Image.registered_extensions()[place.suffix])
            record["drawn"] = str(place)
        self._finish(file, record | {"detections": detection_rows(found, self.question.bank.prompts)}, place)

    def _video(self, file: Path, name: Path) -> None:
        num_frames, every, count = count_frames(file), self.question.every, FrameCount()
        total = None if num_frames is None else -(-num_frames // every)
        frames = progress(read_frames(file, every, count), file.name, total=total, unit="frame")
        self._frames(file, name, frames, frame_rate(file) / every, lambda: count.num_dropped)

    def _live(self, address: Address, name: Path) -> None:
        """Until the source ends, the question's seconds are over, or somebody presses Ctrl-C, which is no failure."""
        with LiveVideo(address) as video, interrupt_noted() as is_over:
            frames = progress(video.frames(self.question.seconds, is_over), str(address), unit="frame")
            self._frames(address, name, at_rate(frames, video.rate), video.rate, lambda: video.num_dropped)

    def _frames(
        self,
        source: Path | Address,
        name: Path,
        frames: Iterable[Frame],
        rate: float,
        num_dropped: Callable[[], int],
    ) -> None:
        """A record per frame, the last with the number of dropped ones; a drawn video. A frame seen before is shown
        again and not looked at."""
        place = self.sink.place(name, ".mp4")
        waiting: list[Record] = []  # the newest, until it is known whether it is the last

        def drawn() -> Iterator[Image.Image]:
            number, picture = -1, None
            for frame in frames:
                if picture is not None and frame.number == number:
                    yield picture
                    continue
                number = frame.number
                found = self.question.ask(frame.image)
                while waiting:
                    self._add(waiting.pop())
                record: dict[str, Any] = {"image": str(source), "frame": number, "time_s": round(frame.time_s, 3)}
                record |= {"width_px": frame.image.width, "height_px": frame.image.height}
                if place is not None:
                    record["drawn"] = str(place)
                waiting.append(record | {"detections": detection_rows(found, self.question.bank.prompts)})
                picture = draw_detections(frame.image, found, self.question.bank.prompts, least_side_px=0)
                yield picture

        if place is None:
            for _ in drawn():
                pass
        else:
            with writing_to(place):
                write_video(self.sink.temporary(place), drawn(), rate)
        self._finish(source, {**waiting.pop(), "dropped_frames": num_dropped()}, place)

    def _add(self, record: Record) -> None:
        self.sink.add(record)
        self.report(record)

    def _finish(self, file: Path | Address, record: Record, place: Path | None) -> None:
        self.sink.finish(file, record, place)
        self.report(record)


def _from_web(address: Address) -> Image.Image:
    """Raises ValueError that names the address: see `fetch_image`, `open_image`."""
    content = fetch_image(str(address))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "picture"
        path.write_bytes(content)
        try:
            return open_image(path)
        except ValueError as error:
            raise ValueError(str(error).replace(str(path), str(address))) from error


def _reason(file: Path | Address, error: Exception) -> str:
    """What our own readers say as it is; of others, what they raise, and of which file."""
    if isinstance(error, ValueError) and str(file) in str(error):
        return str(error)
    return f"{file} cannot be used ({type(error).__name__}: {error}). Convert it to PNG or JPEG, or leave it out."
