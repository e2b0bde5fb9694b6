"""The folder of results: pictures, videos and detections.json, never in place of what somebody else put there.

While files are looked at, their records are lines of detections.jsonl; an interrupted run leaves it, and the next one
goes on from there. When all are done, it becomes detections.json.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, TypeAlias

from crqat_pipeline.inference.address import Address
from crqat_pipeline.inference.own_results import DOCUMENT, OutputError, own_files
from crqat_pipeline.inference.result_files import LABELS, Content, ResultFiles
from crqat_pipeline.inference.result_lines import DocumentWriter, DoneFile, ResultLines
from crqat_pipeline.runtime.folder_lock import locked_folder

Source: TypeAlias = "Path | Address"
LINES = "detections.jsonl"
TEMPORARY = ".crqat_unfinished"
KEPT_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")
NOT_THE_FILES_FAULT = (
    *(errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO, errno.EFBIG, errno.EMFILE),
)

__all__ = ["DOCUMENT", "LINES", "OutputError", "ResultFolder", "open_results", "writing_to"]


@contextmanager
def writing_to(place: Path) -> Iterator[None]:
    """Turns what the system says about a place that cannot be written into an OutputError."""
    try:
        yield
    except OSError as error:
        if error.errno not in NOT_THE_FILES_FAULT:
            raise
        raise OutputError(
            f"Could not write {place}: {os.strerror(error.errno or 0)}. Free space or choose another folder (--out); "
            "what is done is kept, and the same command goes on from there."
        ) from error


class ResultFolder:
    """Use `open_results`, then `sources`, then `begin`."""

    def __init__(self, folder: Path) -> None:
        self.folder, self._command = folder, ""
        self._own = own_files(folder)
        self._lines = ResultLines(folder / LINES)
        self._own |= {str(done.facts.get("place")) for done in self._lines.files.values()}
        self._taken: set[str] = set()

    def sources(self, files: Iterable[tuple[Path, Path]], given: Sequence[Path]) -> list[tuple[Path, Path]]:
        """These (file, name) without the pictures that were drawn here before. given: the paths as the user gave them.

        Raises OutputError if a result would take the place of a source.
        """
        here, named = self.folder.resolve(), set(given)
        for path in named:
            if path.resolve() == here:
                raise OutputError(
                    f"Results do not go to the folder that images are read from; got {self.folder} for both. "
                    f"Choose another one, such as --out {self.folder / 'found'}."
                )
        is_among_sources = any(path.is_dir() and here.is_relative_to(path.resolve()) for path in named)
        kept = []
        for file, name in files:
            inside = _relative(file, here) if is_among_sources and file not in named else None
            if inside is not None and (inside in self._own or inside.startswith(TEMPORARY)):
                continue
            if inside is not None:
                raise OutputError(
                    f"{file} would be looked at and lies in the folder of results {self.folder}, which did not draw "
                    "it. Choose an empty folder (--out)."
                )
            places = [self.folder / _with_suffix(name, suffix) for suffix in (None, ".mp4")]
            if any(place.exists() and place.samefile(file) for place in places):
                raise OutputError(
                    f"The result of {file} would take its place in {self.folder}. Choose another folder, such as "
                    f"--out {self.folder / 'found'}."
                )
            kept.append((file, name))
        return kept

    def begin(self, command: str, files: Sequence[tuple[Source, Path]]) -> list[tuple[Source, Path]]:
        """What remains of these (file, name): all but those in which the same command found things before.

        command: tells commands apart. A file that failed, or that changed since, or whose picture is gone, remains.
        """
        self._command = command
        self._lines.keep(lambda done: not done.has_failed and done.facts.get("command") == command)
        done = {file for file, _ in files if self._is_done(file)}
        self._taken = {str(self._lines.files[str(file)].facts.get("place")).casefold() for file in done}
        return [(file, name) for file, name in files if file not in done]

    def place(self, name: Path, suffix: str | None) -> Path:
        """Where the result of a file goes: free, or taken by our own result of an earlier run. suffix: of a video."""
        wished = _with_suffix(name, suffix)
        relative, number = wished, 1
        while self._is_taken(relative):
            number += 1
            relative = wished.with_name(f"{wished.stem}-{number}{wished.suffix}")
        place = self.folder / relative
        with writing_to(place):
            place.parent.mkdir(parents=True, exist_ok=True)
        if not place.parent.resolve().is_relative_to(self.folder.resolve()):
            raise ValueError(f"{place.parent} leads out of {self.folder}. Remove the link, or choose another folder.")
        self._taken.add(relative.as_posix().casefold())
        return place

    def temporary(self, place: Path) -> Path:
        """Where to write what `finish` moves to `place`: a name without a file."""
        temporary = self._temporary_name(place)
        temporary.unlink(missing_ok=True)
        return temporary

    def add(self, record: Mapping[str, Any]) -> None:
        """A record after which the same source file has more."""
        with writing_to(self._lines.path):
            self._lines.add(record)

    def finish(self, file: Source, record: Mapping[str, Any], place: Path | None = None) -> None:
        """The last record of a source file; its picture or video, written to `temporary`, appears."""
        relative = None if place is None else place.relative_to(self.folder).as_posix()
        facts = {"command": self._command, "place": relative, **_stamp(file)}
        with writing_to(self._lines.path):
            self._lines.add(record, facts)
            if place is not None:
                os.replace(self._temporary_name(place), place)
                self._own.add(str(relative))

    def check_free(self, kinds: Iterable[ResultFiles], files: Iterable[Source]) -> None:
        """Raises OutputError where a result file would take the place of a file that is not of an earlier run."""
        for kind in kinds:
            labels = [kind.label_of({"image": str(file), "detections": []}) for file in files]
            for name in (*kind.names, *filter(None, labels)):
                self._check_own(name)

    def write_document(
        self, head: Mapping[str, Any], files: Iterable[Source], kinds: Sequence[ResultFiles] = ()
    ) -> Path:
        """detections.json of all these files, and the files of each kind, from the lines, which then go.

        The document first: it says which of the others are ours, should this be interrupted.
        """
        document, names = self.folder / DOCUMENT, list(dict.fromkeys(map(str, files)))
        temporary = self.temporary(document)
        with writing_to(document):
            with temporary.open("xb") as file:
                results = [name for kind in kinds for name in kind.names]
                of_ours = {"results": results} if results else {}
                writer = DocumentWriter(file, {**head, **of_ours, "folder": str(self.folder)})
                for record in self._lines.records(names):
                    labels = next(filter(None, (kind.label_of(record) for kind in kinds)), None)
                    writer.add(record if labels is None else {**record, "labels": labels})
                writer.close()
            os.replace(temporary, document)
        written = {
            name
            for kind in kinds
            for name, content in kind.contents(self._lines.records(names))
            if self._put(name, content)
        }
        for old in _label_files(self._own - written):
            with suppress(OSError):
                (self.folder / old).unlink()  # labels of images that are no longer among the sources
        with writing_to(document):
            self._lines.close()
            self._lines.path.unlink()
        return document

    def _put(self, name: str, content: Content) -> bool:
        """Write one result file, whole or not at all."""
        place = self.folder / name
        self._check_own(name)
        with writing_to(place):
            place.parent.mkdir(parents=True, exist_ok=True)
            if not place.parent.resolve().is_relative_to(self.folder.resolve()):
                raise OutputError(
                    f"{place.parent} leads out of {self.folder}. Remove the link, or choose another folder (--out)."
                )
            temporary = self.temporary(place)
            with temporary.open("xb") as file:
                for part in content:
                    file.write(part)
            os.replace(temporary, place)
        self._own.add(name)
        return True

    def _check_own(self, name: str) -> None:
        place = self.folder / name
        if os.path.lexists(place) and name not in self._own:
            raise OutputError(f"{place} was not made by crqat detect. Move it, or choose another folder (--out).")

    def clear(self) -> None:
        """Close; leave no half-written file."""
        self._lines.close()
        for left in self.folder.glob(f"{TEMPORARY}*"):
            with suppress(OSError):
                left.unlink()

    def _temporary_name(self, place: Path) -> Path:
        """With a suffix only for OpenCV, which needs it: a picture is not seen before it is whole."""
        return self.folder / (f"{TEMPORARY}.mp4" if place.suffix == ".mp4" else TEMPORARY)

    def _is_done(self, file: Source) -> bool:
        done: DoneFile | None = self._lines.files.get(str(file))
        if done is None or any(done.facts.get(key) != value for key, value in _stamp(file).items()):
            return False
        place = done.facts.get("place")
        return place is None or (self.folder / place).is_file()

    def _is_taken(self, relative: Path) -> bool:
        if relative.as_posix().casefold() in self._taken:
            return True
        return os.path.lexists(self.folder / relative) and relative.as_posix() not in self._own


@contextmanager
def open_results(folder: Path) -> Iterator[ResultFolder]:
    """The folder, made if it is not there, for this process alone.

    Raises OutputError for a place that is no folder, cannot be written, holds another detections.json, or is in use.
    """
    with ExitStack() as stack:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            stack.enter_context(locked_folder(folder, waits=False))
            results = ResultFolder(folder)
        except BlockingIOError as error:
            raise OutputError(
                f"Another command is writing into {folder}. Wait until it is done, or choose another folder (--out)."
            ) from error
        except OSError as error:
            raise OutputError(
                f"Results cannot be written into {folder}: {error.strerror or error}. Choose a folder that can be "
                "made and written (--out)."
            ) from error
        stack.callback(results.clear)
        yield results


def _with_suffix(name: Path, suffix: str | None) -> Path:
    kept = name.suffix.lower() if name.suffix.lower() in KEPT_SUFFIXES else ".png"
    return name.with_suffix(suffix or kept)


def _label_files(names: Iterable[str]) -> list[str]:
    return [name for name in names if name.startswith(f"{LABELS}/") and name.endswith(".txt")]


def _stamp(file: Source) -> dict[str, int]:
    try:
        facts = file.stat()
    except OSError:
        return {"size_bytes": -1, "mtime_ns": -1}
    return {"size_bytes": facts.st_size, "mtime_ns": facts.st_mtime_ns}


def _relative(file: Path, folder: Path) -> str | None:
    """The file's own place (a link is not followed) below an absolute folder."""
    absolute = file.parent.resolve() / file.name
    return absolute.relative_to(folder).as_posix() if absolute.is_relative_to(folder) else None
