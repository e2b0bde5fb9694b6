"""Sources: caching, going on after an interruption, digests, and failing with a way out."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from crqat_pipeline.detectors.weights import WeightsRefused, local_file
from crqat_pipeline.detectors.weights.download import cached_file
from crqat_pipeline.runtime import resumable as resumable_module
from crqat_pipeline.runtime.resumable import fetch_resumable

CONTENT = bytes(range(256)) * 40
DIGEST = hashlib.sha256(CONTENT).hexdigest()


class _Handler(BaseHTTPRequestHandler):
    """content: what it serves. etag: its version, None for a server that tells none."""

    sent_bytes = 0
    has_ranges = True
    content = CONTENT
    etag: str | None = '"1"'

    def _reply(self, is_body_wanted: bool) -> None:
        body, status, content_range = self.content, 200, None
        asked = self.headers.get("Range")
        if asked and self.has_ranges and self.headers.get("If-Range", self.etag) == self.etag:
            first, last = asked.removeprefix("bytes=").split("-")
            if int(first) >= len(self.content):
                self.send_error(416)
                return
            body, status = self.content[int(first) : int(last or len(self.content)) + 1], 206
            content_range = f"bytes {first}-{int(first) + len(body) - 1}/{len(self.content)}"
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        if content_range:
            self.send_header("Content-Range", content_range)
        if self.etag:
            self.send_header("ETag", self.etag)
        self.end_headers()
        if is_body_wanted:
            type(self).sent_bytes += len(body)
            self.wfile.write(body)

    def do_GET(self) -> None:
        self._reply(True)

    def do_HEAD(self) -> None:
        self._reply(False)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(params=[True, False], ids=["ranges", "no_ranges"])
def server(request: pytest.FixtureRequest) -> Iterator[tuple[str, type[_Handler]]]:
    handler = type("Handler", (_Handler,), {"sent_bytes": 0, "has_ranges": request.param})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}/w.pt", handler
        running.shutdown()


def test_a_download_is_cached_and_repaired(server: tuple[str, type[_Handler]], tmp_path: Path) -> None:
    url, handler = server
    path = local_file(f"{url}#sha256={DIGEST}", cache=tmp_path)
    assert path.name == "w.pt"
    assert path.read_bytes() == CONTENT
    sent = handler.sent_bytes
    assert local_file(f"{url}#sha256={DIGEST.upper()}", cache=tmp_path) == path
    assert handler.sent_bytes == sent, "the second use reads the cache"
    path.write_bytes(b"damaged")
    assert local_file(f"{url}#sha256={DIGEST}", cache=tmp_path).read_bytes() == CONTENT


def test_an_interrupted_download_goes_on(
    server: tuple[str, type[_Handler]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, handler = server
    monkeypatch.setattr(resumable_module, "BLOCK_BYTES", 1000)
    partial = tmp_path / "w.pt.part"
    partial.write_bytes(CONTENT[:9000])
    partial.with_name("w.pt.part.version").write_text('"1"')
    fetch_resumable(url, partial)
    assert partial.read_bytes() == CONTENT
    assert handler.sent_bytes == (len(CONTENT) - 9000 if handler.has_ranges else len(CONTENT))


@pytest.mark.parametrize(("stored", "etag"), [('"0"', '"1"'), ('"1"', None), (None, '"1"'), (None, None)])
@pytest.mark.parametrize("num_kept", [9000, len(CONTENT), len(CONTENT) + 5])
def test_bytes_of_another_version_are_not_joined(
    server: tuple[str, type[_Handler]], tmp_path: Path, stored: str | None, etag: str | None, num_kept: int
) -> None:
    url, handler = server
    handler.etag = etag
    partial = tmp_path / "w.pt.part"
    partial.write_bytes(b"x" * num_kept)
    if stored:
        partial.with_name("w.pt.part.version").write_text(stored)
    fetch_resumable(url, partial)
    assert partial.read_bytes() == CONTENT
    assert list(tmp_path.iterdir()) == [partial]


def test_a_file_that_changes_while_it_is_fetched_is_refused_and_then_fetched_anew(
    server: tuple[str, type[_Handler]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, handler = server
    monkeypatch.setattr(resumable_module, "BLOCK_BYTES", 1000)
    reply = handler._reply

    def changing(self: _Handler, is_body_wanted: bool) -> None:
        reply(self, is_body_wanted)
        type(self).content, type(self).etag = CONTENT[::-1], '"2"'

    monkeypatch.setattr(handler, "_reply", changing)
    if handler.has_ranges:
        with pytest.raises(OSError, match="changed while it was fetched"):
            local_file(f"{url}#sha256={DIGEST}", cache=tmp_path)
        digest = hashlib.sha256(CONTENT[::-1]).hexdigest()
        assert local_file(f"{url}#sha256={digest}", cache=tmp_path).read_bytes() == CONTENT[::-1]
    else:
        assert local_file(f"{url}#sha256={DIGEST}", cache=tmp_path).read_bytes() == CONTENT


def test_a_part_that_is_complete_already_becomes_the_file(server: tuple[str, type[_Handler]], tmp_path: Path) -> None:
    (tmp_path / "w.pt.part").write_bytes(CONTENT)
    (tmp_path / "w.pt.part.version").write_text('"1"')
    fetch_resumable(server[0], tmp_path / "w.pt.part")
    assert (tmp_path / "w.pt.part").read_bytes() == CONTENT


def test_many_at_once_get_the_same_whole_file(
    server: tuple[str, type[_Handler]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, handler = server
    monkeypatch.setattr(resumable_module, "BLOCK_BYTES", 1000)
    source = f"{url}#sha256={DIGEST}"
    with ThreadPoolExecutor(8) as pool:
        paths = set(pool.map(lambda _: local_file(source, cache=tmp_path), range(8)))
    assert {path.read_bytes() for path in paths} == {CONTENT}
    assert handler.sent_bytes == len(CONTENT), "the first fetches, the others wait"


@pytest.mark.parametrize(
    "fragment", ["sha256", "sha256=", "sha256=12", "sha-256=" + "0" * 64, "md5=" + "0" * 32, "", "SHA256=" + "0" * 64]
)
def test_a_misspelt_digest_is_not_taken_for_none(tmp_path: Path, fragment: str) -> None:
    for scheme in ("https://host/w.pt", "hf://owner/name/w.pt"):
        with pytest.raises(ValueError, match="stands sha256=<64 hex digits>"):
            local_file(f"{scheme}#{fragment}", cache=tmp_path)


def test_the_digest_of_a_path_is_checked_too(tmp_path: Path) -> None:
    (tmp_path / "w#1.pt").write_bytes(CONTENT)
    (tmp_path / "w.pt").write_bytes(CONTENT)
    assert local_file(tmp_path / "w#1.pt") == tmp_path / "w#1.pt"
    assert local_file(f"{tmp_path}/w.pt#sha256={DIGEST}") == tmp_path / "w.pt"
    with pytest.raises(WeightsRefused, match="not 0000"):
        local_file(f"{tmp_path}/w.pt#sha256={'0' * 64}")


def test_a_wrong_digest_is_refused_and_not_kept(server: tuple[str, type[_Handler]], tmp_path: Path) -> None:
    with pytest.raises(WeightsRefused, match=f"has sha256 {DIGEST}, not 0000"):
        local_file(f"{server[0]}#sha256={'0' * 64}", cache=tmp_path)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_offline_says_why_and_how_to_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(OSError, match=r"Could not download https://127.0.0.1:9/w.pt: .*give its path instead"):
        local_file("https://127.0.0.1:9/w.pt", cache=tmp_path)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(OSError, match=r"Could not download hf://owner/name/dir/w.pth: .*fetch https://.*dir/w.pth"):
        local_file("hf://owner/name/dir/w.pth")


def test_addresses_that_cannot_work_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="hf://owner/repository/file"):
        local_file("hf://owner/name")
    with pytest.raises(ValueError, match="not encrypted"):
        local_file("http://example.org/w.pt")
    with pytest.raises(ValueError, match="names no file"):
        local_file("https://example.org/", cache=tmp_path)


def test_a_path_is_itself() -> None:
    assert local_file("some/where.pt") == Path("some/where.pt")


def test_what_is_here_is_told_without_a_network(tmp_path: Path) -> None:
    url = "https://host/w.pt"
    assert cached_file(url, tmp_path) is None
    target = tmp_path / hashlib.sha256(url.encode()).hexdigest()[:16] / "w.pt"
    target.parent.mkdir()
    target.write_bytes(CONTENT)
    assert cached_file(f"{url}#sha256={DIGEST}", tmp_path) == target
    assert cached_file(tmp_path / "own.pt") == tmp_path / "own.pt"
    assert cached_file("hf://nobody/nothing/w.pt") is None
    with pytest.raises(ValueError, match="hub address"):
        cached_file("hf://nobody")
