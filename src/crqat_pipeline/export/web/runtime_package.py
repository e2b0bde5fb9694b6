"""onnxruntime-web from the npm registry: one pinned version, checked against its digest, kept in a folder.

WASM_FILES, WEBGPU_FILES: what a page needs of the package.
"""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

from crqat_pipeline.runtime.atomic import atomic_path

NAME, VERSION = "onnxruntime-web", "1.30.0"
SHA512 = "q0y+JrrtukXSzsBWEMccVfqX25LRmosXHF+CaRJmg8pZClzcV7svNc4rKY3jL02Vb7QmRMDs1SigqR4CXAfKYQ=="
"""Base64 of the digest of the package file, as the registry and lock files of npm state it."""
WASM_FILES = ("ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.wasm")
WEBGPU_FILES = ("ort.webgpu.bundle.min.mjs", "ort-wasm-simd-threaded.asyncify.wasm")
ARCHIVE = f"{NAME}-{VERSION}.tgz"
TIMEOUT_S = 600
CACHE_VARIABLE = "CRQAT_CACHE"
BY_HAND = f"Run `npm pack {NAME}@{VERSION}` where there is a network and give the folder with {ARCHIVE} (--runtime)."


def find_runtime(folder: Path | None = None) -> dict[str, bytes]:
    """Content of WASM_FILES and WEBGPU_FILES by name.

    folder: holds the package file, or gets it (default: $CRQAT_CACHE, else ~/.cache/crqat); npm is asked only where
    it is not there. Raises ValueError without npm, when npm fails, and for a package with another digest: always with
    the way by hand.
    """
    archive = (folder or _default_cache()) / ARCHIVE
    if not archive.is_file():
        _fetch(archive)
    content = archive.read_bytes()
    found = base64.b64encode(hashlib.sha512(content).digest()).decode()
    if found != SHA512:
        raise ValueError(
            f"{archive} is not {NAME} {VERSION}: its sha512 is {found[:16]}…, not {SHA512[:16]}…. Delete it and export "
            "again."
        )
    with tarfile.open(archive, "r:gz") as package:
        return {name: _member(package, f"package/dist/{name}") for name in (*WASM_FILES, *WEBGPU_FILES)}


def _member(package: tarfile.TarFile, name: str) -> bytes:
    file = package.extractfile(name)
    assert file is not None, name  # the digest says which package this is
    return file.read()


def _fetch(archive: Path) -> None:
    npm = shutil.which("npm")
    if npm is None:
        raise ValueError(f"The page's runtime comes from npm, which is not installed. {BY_HAND}")
    with tempfile.TemporaryDirectory() as folder:
        command = [npm, "pack", f"{NAME}@{VERSION}", "--ignore-scripts", "--pack-destination", folder]
        try:
            subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True, timeout=TIMEOUT_S)
        except subprocess.TimeoutExpired as error:
            raise ValueError(f"npm did not bring {NAME} {VERSION} within {TIMEOUT_S} s. {BY_HAND}") from error
        except subprocess.CalledProcessError as error:
            last = next(iter(error.stderr.strip().splitlines()), "no message")
            raise ValueError(f"npm could not bring {NAME} {VERSION} ({last}). {BY_HAND}") from error
        with atomic_path(archive) as temporary:
            shutil.copyfile(Path(folder) / ARCHIVE, temporary)


def _default_cache() -> Path:
    """The folder that downloaded weights are kept in as well."""
    chosen = os.environ.get(CACHE_VARIABLE)
    return Path(chosen) if chosen else Path.home() / ".cache" / "crqat"
