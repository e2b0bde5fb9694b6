"""Pictures at http and https addresses, fetched with limits and never from this machine or its network.

A name is resolved once, its addresses are checked, and the connection goes to the checked ones; so is each redirect.
Proxies of the environment are not used.
"""

from __future__ import annotations

import http.client
import ipaddress
import socket
import ssl
import time
from collections.abc import Callable, Sequence
from typing import TypeAlias
from urllib.parse import SplitResult, urljoin, urlsplit

IPAddress: TypeAlias = "ipaddress.IPv4Address | ipaddress.IPv6Address"
MAX_BYTES = 50 * 2**20
MAX_REDIRECTS = 5
TIMEOUT_S = 20.0
TOTAL_S = 120.0
BLOCK = 2**16
REDIRECTS = (301, 302, 303, 307, 308)
UNREADABLE = ("image/svg+xml",)


def is_public(address: IPAddress) -> bool:
    """Whether an address is out in the internet: not loopback, private, link-local, shared or reserved."""
    embedded = getattr(address, "ipv4_mapped", None) or getattr(address, "sixtofour", None)
    if embedded is not None and not is_public(embedded):
        return False
    return address.is_global and not address.is_multicast


def fetch_image(url: str, may_ask: Callable[[IPAddress], bool] = is_public) -> bytes:
    """The content at an address that says of itself that it is an image, at most 50 MB.

    may_ask: which addresses are connected to. Raises ValueError that names the address for a local one, a redirect to
    one or from https to http, another content type, too many bytes or redirects, and a server that does not answer.
    """
    end = time.monotonic() + TOTAL_S
    asked = url
    for _ in range(MAX_REDIRECTS + 1):
        connection, target = _connect(url, asked, may_ask)
        try:
            path = (target.path or "/") + (f"?{target.query}" if target.query else "")
            connection.request("GET", path, headers={"Accept": "image/*", "User-Agent": "crqat"})
            answer = connection.getresponse()
            if answer.status in REDIRECTS:
                following = urljoin(asked, answer.getheader("Location") or "")
                if target.scheme == "https" and not following.startswith("https://"):
                    raise ValueError(f"{url} leads from https to {following}. Fetch it yourself and give the file.")
                asked = following
                continue
            return _content(answer, url, end)
        except (OSError, http.client.HTTPException) as error:
            raise ValueError(
                f"{url} cannot be fetched ({_reason(error)}). Fetch it yourself and give the file."
            ) from error
        finally:
            connection.close()
    raise ValueError(f"{url} leads from one address to another more than {MAX_REDIRECTS} times. Give the last one.")


class _Http(http.client.HTTPConnection):
    """Goes to places that were checked; the name resolved again could lead elsewhere."""

    places: Sequence[str] = ()

    def connect(self) -> None:
        self.sock = _first(self.places, self.port)


class _Https(http.client.HTTPSConnection):
    """The same, encrypted, for the name's certificate."""

    places: Sequence[str] = ()

    def connect(self) -> None:
        context = ssl.create_default_context()
        self.sock = context.wrap_socket(_first(self.places, self.port), server_hostname=self.host)


def _connect(
    url: str, asked: str, may_ask: Callable[[IPAddress], bool]
) -> tuple[http.client.HTTPConnection, SplitResult]:
    try:
        target = urlsplit(asked)
        host, port = target.hostname, target.port
    except ValueError as error:
        raise ValueError(f"{url} is no address: {error}. Check it.") from error
    if target.scheme not in ("http", "https") or not host:
        raise ValueError(f"A picture's address begins with http:// or https:// and a host; {url} leads to {asked}.")
    if target.username or target.password:
        raise ValueError(f"An address with a password in it is not asked; got one for {host}. Fetch the file yourself.")
    port = port or (443 if target.scheme == "https" else 80)
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise ValueError(
            f"{url} cannot be fetched: no address is known of {host} ({_reason(error)}). Check it."
        ) from error
    places = [str(place[0]) for *_, place in found]
    for place in places:
        if not may_ask(ipaddress.ip_address(place.partition("%")[0])):
            raise ValueError(
                f"Pictures are fetched from the internet alone; {url} leads to {place}, which is this machine or its "
                "own network. Give the file."
            )
    connection = (_Https if target.scheme == "https" else _Http)(host, port, timeout=TIMEOUT_S)
    connection.places = places
    return connection, target


def _first(places: Sequence[str], port: int) -> socket.socket:
    """A connection to the first of the places that answers."""
    for place in places[:-1]:
        try:
            return socket.create_connection((place, port), TIMEOUT_S)
        except OSError:
            continue
    return socket.create_connection((places[-1], port), TIMEOUT_S)


def _content(answer: http.client.HTTPResponse, url: str, end: float) -> bytes:
    if answer.status != http.client.OK:
        raise ValueError(f"{url} answers {answer.status} {answer.reason}. Check it.")
    kind = (answer.getheader("Content-Type") or "none").partition(";")[0].strip().lower()
    if not kind.startswith("image/") or kind in UNREADABLE:
        raise ValueError(f"{url} is no picture but of the type {kind}. Give the address of the picture itself.")
    content = bytearray()
    while block := answer.read(BLOCK):
        content += block
        if len(content) > MAX_BYTES:
            raise ValueError(f"{url} has more than {MAX_BYTES >> 20} MB. Fetch it yourself and give the file.")
        if time.monotonic() > end:
            raise ValueError(f"{url} did not arrive within {TOTAL_S:.0f} s. Fetch it yourself and give the file.")
    if answer.length:
        raise ValueError(f"{url} broke off {answer.length} bytes before its end. Try again.")
    return bytes(content)


def _reason(error: Exception) -> str:
    return str(error) or type(error).__name__
