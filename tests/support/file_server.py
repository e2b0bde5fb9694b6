"""A web server on loopback with a few files, which can misbehave: cut an answer, change a file, not know it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class ServedFiles:
    """contents: path -> bytes. cut: path -> bytes after which the next answer breaks off. asked: (path, bytes sent)."""

    contents: dict[str, bytes]
    cut: dict[str, int] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    asked: list[tuple[str, int]] = field(default_factory=list)
    url: str = ""

    def bytes_of(self, path: str) -> int:
        """Sent so far; the first byte alone, by which a server is tried, is not counted."""
        return sum(count for name, count in self.asked if name == path and count != 1)


@contextmanager
def serve(contents: dict[str, bytes]) -> Iterator[ServedFiles]:
    """A running server of these files, with ranges and versions."""
    served = ServedFiles(dict(contents))

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            name = self.path.lstrip("/")
            if name not in served.contents:
                self.send_error(404)
                return
            whole, etag = served.contents[name], f'"{served.versions.get(name, "1")}"'
            first, last = 0, len(whole) - 1
            asked = self.headers.get("Range")
            is_part = asked is not None and self.headers.get("If-Range", etag) == etag
            if is_part and asked is not None:
                start, end = asked.removeprefix("bytes=").split("-")
                first, last = int(start), min(int(end), last)
            body = whole[first : last + 1]
            self.send_response(206 if is_part else 200)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("ETag", etag)
            if is_part:
                self.send_header("Content-Range", f"bytes {first}-{last}/{len(whole)}")
            self.end_headers()
            sent = body if len(body) == 1 else body[: served.cut.pop(name, len(body))]
            served.asked.append((name, len(sent)))
            self.wfile.write(sent)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        served.url = f"http://127.0.0.1:{running.server_port}/"
        yield served
        running.shutdown()
