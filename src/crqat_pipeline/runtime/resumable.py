"""Download a file in blocks, going on where an earlier attempt stopped if the file there is still the same."""

from __future__ import annotations

import re
import shutil
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from email.message import Message
from http import HTTPStatus
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import urlsplit

from crqat_pipeline.runtime.progress import progress

BLOCK_BYTES = 8 * 2**20
TIMEOUT_S, PROBE_TIMEOUT_S = 60, 20
_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+)$")


def fetch_resumable(url: str, partial: Path) -> None:
    """Fill `partial` with the content of `url`; bytes that are already there are not fetched again.

    Beside it, `<partial>.version` says of which version of the file they are, by the server's ETag or date. Where the
    server gives neither, has another version by now, or knows no ranges, everything is fetched anew. Raises OSError
    when the server refuses, the content ends early, or another version appears while it is fetched.
    """
    record = partial.with_name(f"{partial.name}.version")
    version = record.read_text() if record.is_file() and partial.is_file() else None
    with partial.open("r+b" if version else "wb") as file:
        file.seek(0, 2)
        version, size = _first_block(url, file, version, record)
        rest = range(file.tell(), size, BLOCK_BYTES)
        for offset in progress(rest, Path(urlsplit(url).path).name, unit="block") if rest else ():
            with _answer(url, offset, version) as answer:
                if _span(answer) != (offset, size) or _version(answer.headers) != version:
                    raise OSError("the file on the server changed while it was fetched. Try again.")
                _copy(answer, file)
    record.unlink(missing_ok=True)


def check_reachable(url: str) -> None:
    """Asks for the first byte. Raises OSError when the server, or this file on it, cannot be had."""
    headers = {"Range": "bytes=0-0", "User-Agent": "crqat-pipeline"}
    try:
        _OPENER.open(urllib.request.Request(url, headers=headers), timeout=PROBE_TIMEOUT_S).close()
    except HTTPException as error:
        raise OSError(f"the connection ended early ({type(error).__name__}).") from error


def _first_block(url: str, file: BinaryIO, version: str | None, record: Path) -> tuple[str | None, int]:
    """Adds a block, or the whole file where there are no ranges, and returns version and size of the file there.

    Bytes of another version than the server's are thrown away first.
    """
    offset = file.tell()
    try:
        with _answer(url, offset, version) as answer:
            seen, span = _version(answer.headers), _span(answer)
            if not offset or span is None or (span[0] == offset and seen == version):
                if span is None:
                    _empty(file)
                if seen is None:
                    record.unlink(missing_ok=True)
                else:
                    record.write_text(seen)
                _copy(answer, file)
                return seen, file.tell() if span is None else span[1]
    except urllib.error.HTTPError as error:
        if not offset or error.code != HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            raise
    _empty(file)
    return _first_block(url, file, None, record)


def _empty(file: BinaryIO) -> None:
    file.seek(0)
    file.truncate()


@contextmanager
def _answer(url: str, offset: int, version: str | None) -> Iterator[HTTPResponse]:
    """The server's answer to the wish for one block of that version of the file."""
    headers = {"Range": f"bytes={offset}-{offset + BLOCK_BYTES - 1}", "User-Agent": "crqat-pipeline"}
    if version and not version.startswith("W/"):
        headers["If-Range"] = version
    try:
        with _OPENER.open(urllib.request.Request(url, headers=headers), timeout=TIMEOUT_S) as answer:
            yield answer
    except HTTPException as error:
        raise OSError(f"the connection ended early ({type(error).__name__}).") from error


def _copy(answer: HTTPResponse, file: BinaryIO) -> None:
    start = file.tell()
    shutil.copyfileobj(answer, file, 2**20)
    length = answer.headers.get("Content-Length")
    if length is not None and file.tell() - start != int(length):
        raise OSError(f"the server sent {file.tell() - start} bytes instead of {length} at offset {start}.")


def _span(answer: HTTPResponse) -> tuple[int, int] | None:
    """Offset of an answer's first byte and size of the whole file; None where the answer is the whole file."""
    found = _RANGE.match(answer.headers.get("Content-Range") or "") if answer.status == 206 else None
    if answer.status == 206 and found is None:
        raise OSError("the server sent a part of the file and does not say which.")
    return None if found is None else (int(found[1]), int(found[2]))


def _version(headers: Message) -> str | None:
    return headers.get("ETag") or headers.get("Last-Modified")


class _SafeRedirects(urllib.request.HTTPRedirectHandler):
    """Does not go from https to something else."""

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        if req.full_url.startswith("https://") and not newurl.startswith("https://"):
            raise urllib.error.URLError(f"the server sends on to {newurl}, which is not encrypted")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


_OPENER = urllib.request.build_opener(_SafeRedirects())
