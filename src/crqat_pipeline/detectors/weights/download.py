"""From a source to a local file: plain paths, hf://owner/repository/file and https:// addresses.

An address may end in `#sha256=<64 hex digits>`; the file is then refused unless it has this digest.
"""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

from crqat_pipeline.detectors.weights.outcome import WeightsRefused
from crqat_pipeline.runtime.atomic import atomic_path
from crqat_pipeline.runtime.folder_lock import locked_folder
from crqat_pipeline.runtime.verified_download import WrongDigestError, fetch_verified
from crqat_pipeline.runtime.verified_download import sha256_of as sha256_of

CACHE_VARIABLE = "CRQAT_CACHE"
SCHEMES = ("hf://", "https://", "http://")
PIN = re.compile(r"sha256=[0-9a-fA-F]{64}")


def local_file(source: str | Path, cache: Path | None = None) -> Path:
    """The file itself for a path; for an address the cached copy, downloaded at the first use.

    cache: folder of https downloads (default: $CRQAT_CACHE, else ~/.cache/crqat); hf:// files live in the cache of
    huggingface_hub. Raises OSError with the reason and the manual way when the network fails, WeightsRefused for a
    wrong digest, ValueError for an address that cannot be one.
    """
    address, expected = _pinned(source)
    if address.startswith("hf://"):
        path = _from_hub(address)
    elif address.startswith(("https://", "http://")):
        if address.startswith("http://") and expected is None:
            raise ValueError(f"{address} is not encrypted. Use https, or pin the content with #sha256=<digest>.")
        path = _from_web(address, cache or _default_cache(), expected)
    else:
        path = Path(address)
    if expected is not None and sha256_of(path) != expected:
        raise WeightsRefused(
            f"{path.name} has sha256 {sha256_of(path)}, not {expected}. Delete {path} and download it again, or "
            "correct the digest."
        )
    return path


def _pinned(source: str | Path) -> tuple[str, str | None]:
    """Address and digest. A path may hold a # of its own; an address ends there, in #sha256=<digest> or nothing.

    Raises ValueError for anything else behind the #, so that a misspelt digest is not taken for none.
    """
    address, mark, fragment = str(source).partition("#")
    if PIN.fullmatch(fragment):
        return address, fragment.partition("=")[2].lower()
    if not address.startswith(SCHEMES) and not fragment.lower().startswith("sha256"):
        return str(source), None
    if mark:
        raise ValueError(f"Behind the # of an address stands sha256=<64 hex digits>; got #{fragment} in {source}.")
    return address, None


def cached_file(source: str | Path, cache: Path | None = None) -> Path | None:
    """The file that local_file would give without a network; None where it would have to download.

    Digests are not checked. Raises ValueError for an address that cannot be one.
    """
    address, _ = _pinned(source)
    if address.startswith("hf://"):
        from huggingface_hub import try_to_load_from_cache

        repo_id, name, revision = _hub_parts(address)
        found = try_to_load_from_cache(repo_id, name, revision=revision)
        return Path(found) if isinstance(found, str) else None
    if address.startswith(("https://", "http://")):
        target = _web_target(address, cache or _default_cache())
        return target if target.is_file() else None
    return Path(address)


def _default_cache() -> Path:
    chosen = os.environ.get(CACHE_VARIABLE)
    return Path(chosen) if chosen else Path.home() / ".cache" / "crqat"


def _hub_parts(address: str) -> tuple[str, str, str | None]:
    """Repository, file and revision of hf://owner/repository/file[@revision]."""
    parts = address.removeprefix("hf://").split("/", 2)
    if len(parts) < 3 or not all(parts):
        raise ValueError(f"A hub address is hf://owner/repository/file[@revision]; got {address}.")
    owner, repository, rest = parts
    name, _, revision = rest.partition("@")
    return f"{owner}/{repository}", name, revision or None


def _from_hub(address: str) -> Path:
    from huggingface_hub import hf_hub_download, hf_hub_url

    repo_id, name, revision = _hub_parts(address)
    try:
        return Path(hf_hub_download(repo_id, name, revision=revision))
    except Exception as error:  # the hub raises many unrelated types; all mean "no file"
        url = hf_hub_url(repo_id, name, revision=revision)
        raise OSError(_manual_way(address, error, url)) from error


def _web_target(url: str, cache: Path) -> Path:
    """Where the download of this address is kept."""
    name = Path(unquote(urlsplit(url).path)).name
    if not name:
        raise ValueError(f"{url} names no file. Give the address of a weight file.")
    return cache / hashlib.sha256(url.encode()).hexdigest()[:16] / name


def _from_web(url: str, cache: Path, expected: str | None) -> Path:
    target = _web_target(url, cache)
    if _is_whole(target):
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with locked_folder(target.parent, waits=True) as is_ours_alone:
        if not _is_whole(target):  # another process may have fetched it meanwhile
            partial = target.with_name(f"{target.name}.part" if is_ours_alone else f"{target.name}.{os.getpid()}.part")
            _fetch(url, partial, target, expected)
    return target


def _fetch(url: str, partial: Path, target: Path, expected: str | None) -> None:
    try:
        digest = fetch_verified(url, target, partial, expected)
    except WrongDigestError as error:
        raise WeightsRefused(f"{error} Correct the address or the digest.") from error
    except (OSError, ValueError) as error:  # ValueError: an address that the library cannot parse
        raise OSError(_manual_way(url, error, url)) from error
    with atomic_path(_record_of(target)) as temporary:
        temporary.write_text(digest)


def _record_of(target: Path) -> Path:
    return target.with_name(f"{target.name}.sha256")


def _is_whole(target: Path) -> bool:
    record = _record_of(target)
    return target.is_file() and record.is_file() and record.read_text() == sha256_of(target)


def _manual_way(source: str, error: Exception, url: str) -> str:
    reason = (str(error).splitlines() or [""])[0][:300].rstrip(".") + "."
    return (
        f"Could not download {source}: {type(error).__name__}: {reason} Without a network, fetch {url} elsewhere, "
        "copy it here, and give its path instead."
    )
