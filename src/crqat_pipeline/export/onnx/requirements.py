"""What ONNX export needs beside the project itself."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable

PACKAGES = ("onnx", "onnxruntime")


def _is_installed(package: str) -> bool:
    return importlib.util.find_spec(package) is not None


def require_onnx(is_installed: Callable[[str], bool] = _is_installed) -> None:
    """Raises ValueError that names the extra if onnx or onnxruntime is missing: one writes the file, one proves it."""
    missing = [package for package in PACKAGES if not is_installed(package)]
    if missing:
        raise ValueError(
            f"ONNX export needs {' and '.join(PACKAGES)}; {' and '.join(missing)} cannot be found. "
            "Install the extra: pip install 'crqat-pipeline[onnx]'."
        )
