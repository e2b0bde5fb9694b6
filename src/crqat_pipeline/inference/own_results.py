"""Which files of a folder of results an earlier `crqat detect` made: all that a later one may replace."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path, PurePosixPath

DOCUMENT = "detections.json"
_DRAWN = re.compile(rb'"drawn": ("(?:[^"\\]|\\.)*")')
_OUR_HEAD = re.compile(rb'\s*\{\s*"model": ')
_LABELS = re.compile(rb'"labels": ("(?:[^"\\]|\\.)*")')
_RESULTS = re.compile(rb'^\s*"results": (\["[^\]]*"\])', re.MULTILINE)
_FOLDER = re.compile(rb'^\s*"folder": ("(?:[^"\\]|\\.)*")', re.MULTILINE)


class OutputError(ValueError):
    """Results cannot be written; the text says where, why and what to do. No later file would fare better."""


def own_files(folder: Path) -> set[str]:
    """What the last command drew here, relative to the folder, from its detections.json, line by line.

    Raises OutputError for a detections.json of somebody else.
    """
    document = folder / DOCUMENT
    if not os.path.lexists(document):
        return set()
    if not document.is_file():
        raise OutputError(f"{document} is not a file. Move it, or choose another folder (--out).")
    own: set[str] = set()
    with document.open("rb") as file:
        head = file.read(2**20)
        if head and not _OUR_HEAD.match(head):
            raise OutputError(f"{document} was not made by crqat detect. Move it, or choose another folder (--out).")
        written_as = _FOLDER.search(head)
        results = _RESULTS.search(head)
        own.update(json.loads(results[1]) if results else ())
        base = PurePosixPath(json.loads(written_as[1])) if written_as else PurePosixPath(folder)
        file.seek(0)
        for line in file:
            for text in _DRAWN.findall(line):
                drawn = PurePosixPath(json.loads(text))
                if drawn.is_relative_to(base):
                    own.add(drawn.relative_to(base).as_posix())
            own.update(json.loads(text) for text in _LABELS.findall(line))
    return {name for name in own if ".." not in PurePosixPath(name).parts}
