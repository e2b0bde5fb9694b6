"""Compile fused.c with the machine's C compiler, once, and load it.

The library is kept in a private folder, under a name that depends on source, flags, compiler and its own content.
"""

from __future__ import annotations

import ctypes
import hashlib
import logging
import os
import platform
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

import torch

from crqat_pipeline.quantization.kernels.private_cache import content_digest, private_folder, verified

logger = logging.getLogger(__name__)
_SOURCE = Path(__file__).with_name("fused.c")
_FLAGS = ("-O3", "-fPIC", "-shared", "-fno-math-errno", "-fno-trapping-math", "-ffp-contract=off")
_LEVELS = {"AVX2": ("-march=x86-64-v3",), "AVX512": ("-march=x86-64-v4",)}
_LIMIT_S = 300
_POINTER, _LONG, _INT, _FLOAT = ctypes.c_void_p, ctypes.c_int64, ctypes.c_int, ctypes.c_float


@cache
def load_fused() -> ctypes.CDLL | str:
    """The library, or the reason why there is none, which is also logged."""
    library = _loaded()
    if isinstance(library, str):
        logger.warning("Fake quantization runs without its C kernel (same values, more time): %s.", library)
    return library


def _loaded() -> ctypes.CDLL | str:
    compiler = shutil.which(os.environ.get("CC", "cc")) or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        return "no C compiler (cc, gcc or clang) was found; install one"
    try:
        folder, reason = private_folder()
        if reason:
            logger.info("%s; compiled anew for each process.", reason)
        for threading in (("-fopenmp",), ("-fopenmp-simd",), ()):
            try:
                return _declared(ctypes.CDLL(str(_built(compiler, (*_FLAGS, *_cpu_flags(), *threading), folder))))
            except subprocess.CalledProcessError as error:
                reason = f"{compiler} failed: {error.stderr.strip()[-300:]}"
    except (OSError, AttributeError, subprocess.TimeoutExpired) as error:
        reason = f"{compiler} or its result could not be run: {error}"
    return reason


def _cpu_flags() -> tuple[str, ...]:
    if platform.machine() not in ("x86_64", "AMD64"):
        return ()
    return _LEVELS.get(torch.backends.cpu.get_cpu_capability(), ())


def _built(compiler: str, flags: tuple[str, ...], folder: Path) -> Path:
    """The library, compiled unless an earlier process did: its name ends with the digest of its content."""
    source = _SOURCE.read_bytes()
    asked = subprocess.run([compiler, "--version"], capture_output=True, check=True, text=True, timeout=_LIMIT_S)
    key = hashlib.sha256(b"\n".join([source, " ".join(flags).encode(), asked.stdout.encode()])).hexdigest()[:16]
    for earlier in sorted(folder.glob(f"fused-{key}-*.so")):
        if verified(earlier):
            return earlier
        earlier.unlink(missing_ok=True)  # damaged, or cut short by a full disk
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        result = Path(scratch) / "fused.so"
        command = [compiler, *flags, str(_SOURCE), "-o", str(result), "-lm"]
        subprocess.run(command, capture_output=True, check=True, text=True, timeout=_LIMIT_S)
        result.chmod(0o700)
        library = folder / f"fused-{key}-{content_digest(result.read_bytes())}.so"
        result.replace(library)
    return library


def _declared(library: ctypes.CDLL) -> ctypes.CDLL:
    shape = (_LONG, _LONG, _LONG, _POINTER, _POINTER, _FLOAT, _FLOAT)  # outer, groups, inner, scale, zero, grid
    library.crqat_forward.argtypes = (_POINTER, _LONG, _POINTER, *shape, _INT)
    library.crqat_forward.restype = None
    library.crqat_backward.argtypes = (
        *(_POINTER, _POINTER, _LONG, _POINTER),
        *shape,
        *(_FLOAT, _INT, _POINTER, _POINTER, _INT),
    )
    library.crqat_backward.restype = _INT
    return library
