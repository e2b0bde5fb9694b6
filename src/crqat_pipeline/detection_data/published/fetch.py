"""Fetching a list of published files into a folder: what is missing, whether it can be had, and the fetching itself.

One process at a time works in a folder; another one waits, and then finds everything there.
"""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from crqat_pipeline.detection_data.published.file_list import Made, PublishedFile, PublishedFiles, PublishedSet
from crqat_pipeline.detection_data.published.making import is_made, make
from crqat_pipeline.runtime.folder_lock import locked_folder
from crqat_pipeline.runtime.progress import progress
from crqat_pipeline.runtime.resumable import check_reachable
from crqat_pipeline.runtime.verified_download import WrongDigestError, fetch_verified, sha256_of

FAILURES_IN_A_ROW, SHOWN = 3, 5
MB = 2.0**20
logger = logging.getLogger(__name__)

Wanted = Sequence[tuple[PublishedSet, PublishedFile]]


class PublishedFilesError(ValueError):
    """What could not be fetched, why, and the other way to the same files."""


@dataclass(frozen=True)
class Missing:
    """files: to be fetched. made: to be made of files."""

    files: Wanted
    made: Sequence[Made]

    @property
    def num_bytes(self) -> int:
        return sum(file.num_bytes for _, file in self.files)

    def __bool__(self) -> bool:
        return bool(self.files or self.made)


def missing_in(files: PublishedFiles, folder: Path) -> Missing:
    """Compares digests, so that a damaged file is missing. What others are made of is missing only with these."""
    made = [one for one in files.made if not is_made(one, files, folder)]
    needed = {source for one in made for source in one.sources}
    only_sources = {source for one in files.made for source in one.sources} - needed
    wanted = [
        (origin, file)
        for origin, file in files.all_files()
        if file.path not in only_sources and not _is_there(folder / file.path, file)
    ]
    return Missing(wanted, made)


def _is_there(path: Path, file: PublishedFile) -> bool:
    return path.is_file() and path.stat().st_size == file.num_bytes and sha256_of(path) == file.sha256


def describe(missing: Missing, folder: Path) -> str:
    """What is fetched, how much, from where and under which licence."""
    lines = [f"{len(missing.files)} files, {missing.num_bytes / MB:,.1f} MB, are fetched into {folder}:"]
    for origin in dict.fromkeys(origin for origin, _ in missing.files):
        sizes = [file.num_bytes for one, file in missing.files if one is origin]
        lines.append(f"  {origin.what}: {len(sizes)} files, {sum(sizes) / MB:,.1f} MB, from {origin.base}")
        lines.append(f"    licence: {origin.licence}")
    return "\n".join(lines)


def look_before(files: PublishedFiles, folder: Path) -> Missing:
    """Asks every server for one missing file. Raises PublishedFilesError that names all that cannot be had.

    Nothing is fetched yet; sizes and licences are told.
    """
    missing = missing_in(files, folder)
    if not missing.files:
        return missing
    faults = []
    for origin in dict.fromkeys(origin for origin, _ in missing.files):
        lacking = [file for one, file in missing.files if one is origin]
        url = origin.base + lacking[0].address
        try:
            check_reachable(url)
        except (OSError, ValueError) as error:
            faults.append(f"{origin.what} ({len(lacking)} files): {url}: {_reason(error)}")
    place = next(one for one in (folder, *folder.absolute().parents) if one.is_dir())
    free = shutil.disk_usage(place).free
    if free < missing.num_bytes:
        faults.append(f"{missing.num_bytes / MB:,.0f} MB are needed in {place}; {free / MB:,.0f} MB are free")
    if faults:
        raise _error("Published files cannot be fetched, and nothing was run", faults, folder)
    logger.info("%s", describe(missing, folder))
    return missing


def fetch_published(files: PublishedFiles, folder: Path) -> int:
    """Fetches what is missing, makes what is made of it, and returns the number of files fetched.

    A file that fails does not stop the others, unless several fail in a row. What has come is kept: the next attempt
    goes on there. Raises PublishedFilesError that names what failed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with locked_folder(folder, waits=True) as is_ours_alone:
        missing = missing_in(files, folder)
        faults: list[str] = []
        in_a_row = 0
        items = progress(missing.files, "download", unit="file") if missing.files else ()
        for origin, file in items:
            try:
                _fetch(origin.base + file.address, file, folder, is_ours_alone)
                in_a_row = 0
            except (OSError, WrongDigestError) as error:
                faults.append(f"{file.path}: {_reason(error)}")
                in_a_row += 1
                if in_a_row == FAILURES_IN_A_ROW:
                    break
        if faults:
            untried = "; after several in a row the others were not tried" if in_a_row == FAILURES_IN_A_ROW else ""
            what = f"{len(faults)} of {len(missing.files)} published files could not be fetched{untried}"
            raise _error(what, faults, folder)
        for one in missing.made:
            logger.info("Making %s", folder / one.path)
            make(one, files, folder)
    return len(missing.files)


def _fetch(url: str, file: PublishedFile, folder: Path, is_ours_alone: bool) -> None:
    target = folder / file.path
    target.parent.mkdir(parents=True, exist_ok=True)
    ending = "part" if is_ours_alone else f"{os.getpid()}.part"
    fetch_verified(url, target, target.with_name(f"{target.name}.{ending}"), file.sha256)


def _reason(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:300].rstrip(".")


def _error(what: str, faults: Sequence[str], folder: Path) -> PublishedFilesError:
    shown = [f"  {fault}" for fault in faults[:SHOWN]]
    if len(faults) > SHOWN:
        shown.append(f"  … and {len(faults) - SHOWN} more")
    return PublishedFilesError(
        "\n".join(
            [
                f"{what}.",
                *shown,
                f"Try again (nothing is fetched twice), or fetch them elsewhere and put them into {folder} under these "
                "names, or name a folder that holds them.",
            ]
        )
    )
