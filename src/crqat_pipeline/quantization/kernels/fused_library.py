"""Compile fused.c with the machine's C compiler, once, and load it.

The library is kept in the user's cache folder under a name that depends on source, flags and compiler.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

import torch

from crqat_pipeline.runtime.atomic import atomic_path

_SOURCE = Path(__file__).with_name("fused.c")
_FLAGS = ("-O3", "-fPIC", "-shared", "-fno-math-errno", "-fno-trapping-math", "-ffp-contract=off")
_LEVELS = {"AVX2": ("-march=x86-64-v3",), "AVX512": ("-march=x86-64-v4",)}
_POINTER, _LONG, _INT, _FLOAT = ctypes.c_void_p, ctypes.c_int64, ctypes.c_int, ctypes.c_float


@cache
def load_fused() -> ctypes.CDLL | str:
    """The library, or the reason why there is none."""
    compiler = shutil.which(os.environ.get("CC", "cc")) or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        return "no C compiler (cc, gcc or clang) was found"
    reason = ""
    for threading in (("-fopenmp",), ("-fopenmp-simd",), ()):
        try:
            return _declared(ctypes.CDLL(str(_built(compiler, (*_FLAGS, *_cpu_flags(), *threading)))))
        except subprocess.CalledProcessError as error:
            reason = f"{compiler} failed: {error.stderr.strip()[-300:]}"
        except OSError as error:
            reason = f"{compiler} or its result could not be run: {error}"
    return reason


def _cpu_flags() -> tuple[str, ...]:
    if platform.machine() not in ("x86_64", "AMD64"):
        return ()
    return _LEVELS.get(torch.backends.cpu.get_cpu_capability(), ())


def _built(compiler: str, flags: tuple[str, ...]) -> Path:
    source = _SOURCE.read_bytes()
    version = subprocess.run([compiler, "--version"], capture_output=True, check=True).stdout
    key = hashlib.sha256(b"\n".join([source, " ".join(flags).encode(), version])).hexdigest()[:16]
    library = _folder() / f"fused-{key}.so"
    if not library.exists():
        with atomic_path(library) as temporary:
            command = [compiler, *flags, str(_SOURCE), "-o", str(temporary), "-lm"]
            subprocess.run(command, capture_output=True, check=True, text=True)
    return library


def _folder() -> Path:
    root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "crqat_pipeline"
    try:
        root.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError:
        return Path(tempfile.mkdtemp(prefix="crqat_pipeline-"))
    return root if os.access(root, os.W_OK) else Path(tempfile.mkdtemp(prefix="crqat_pipeline-"))


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
