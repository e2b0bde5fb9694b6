import ipaddress
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from crqat_pipeline.inference import web_image
from crqat_pipeline.inference.web_image import fetch_image, is_public

ANSWERS = {
    "/picture.png": (200, {"Content-Type": "image/png"}, b"some bytes"),
    "/page": (200, {"Content-Type": "text/html"}, b"<html>"),
    "/drawing": (200, {"Content-Type": "image/svg+xml"}, b"<svg>"),
    "/moved": (302, {"Location": "/picture.png"}, b""),
    "/away": (302, {"Location": "http://127.0.0.2/picture.png"}, b""),
    "/file": (302, {"Location": "file:///etc/hostname"}, b""),
    "/round": (302, {"Location": "/round"}, b""),
    "/gone": (404, {}, b""),
    "/cut": (200, {"Content-Type": "image/png", "Content-Length": "99"}, b"some bytes"),
    "/large": (200, {"Content-Type": "image/png"}, b"x" * 5000),
}


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        status, headers, body = ANSWERS[self.path]
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        pass


@contextmanager
def served():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


def only_here(address):
    return str(address) == "127.0.0.1"


def test_a_picture_arrives_also_over_a_redirect():
    with served() as site:
        assert fetch_image(f"{site}/picture.png", only_here) == b"some bytes"
        assert fetch_image(f"{site}/moved", only_here) == b"some bytes"


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("/page", "is no picture but of the type text/html"),
        ("/drawing", "of the type image/svg"),
        ("/away", "leads to 127.0.0.2, which is this machine or its own network"),
        ("/file", "leads to file:///etc/hostname"),
        ("/round", "more than 5 times"),
        ("/gone", "answers 404"),
        ("/cut", "cannot be fetched|broke off"),
        ("/large", "has more than"),
    ],
)
def test_what_is_no_picture_is_refused_by_its_address(path, text, monkeypatch):
    monkeypatch.setattr(web_image, "MAX_BYTES", 4000)
    with served() as site, pytest.raises(ValueError, match=text) as refusal:
        fetch_image(f"{site}{path}", only_here)
    assert f"{site}{path}" in str(refusal.value)


def test_this_machine_and_its_network_are_not_asked():
    with served() as site, pytest.raises(ValueError, match=r"leads to 127\.0\.0\.1, which is this machine"):
        fetch_image(f"{site}/picture.png")
    for url, text in (
        ("http://localhost/x.png", "this machine"),
        ("http://[::1]/x.png", "this machine"),
        ("http://10.0.0.1/x.png", "own network"),
        ("http://2130706433/x.png", "this machine|no address is known"),
        ("http://user:secret@192.0.2.1/x.png", "password"),
        ("https://", "and a host"),
    ):
        with pytest.raises(ValueError, match=text):
            fetch_image(url)


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("8.8.8.8", True),
        ("2606:4700::1111", True),
        ("127.0.0.1", False),
        ("169.254.169.254", False),
        ("192.168.1.1", False),
        ("100.64.0.1", False),
        ("0.0.0.0", False),
        ("224.0.0.1", False),
        ("::ffff:127.0.0.1", False),
        ("fe80::1", False),
        ("fd00::1", False),
    ],
)
def test_addresses_of_the_internet(address, expected):
    assert is_public(ipaddress.ip_address(address)) is expected
