"""What to install where a command needs a package that the light installation leaves out."""

from __future__ import annotations

import re
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, requires
from types import MappingProxyType

DISTRIBUTION = "crqat-pipeline"
DISTRIBUTIONS = MappingProxyType({"cv2": "opencv-python", "yaml": "pyyaml", "open_clip": "open-clip-torch"})
"""Name that is imported -> its distribution, where the two differ in more than dashes."""
REQUIREMENT = re.compile(r"(?P<name>[\w.-]+).*extra == ['\"](?P<extra>[\w-]+)['\"]")


def way_out(error: ModuleNotFoundError, requirements: Iterable[str] | None = None) -> str | None:
    """One sentence, or None for a module that no extra brings.

    requirements: as importlib.metadata gives those of this package; read where they are not given.
    """
    module = (error.name or "").partition(".")[0]
    wanted = DISTRIBUTIONS.get(module, module.replace("_", "-")).lower()
    for line in _requirements() if requirements is None else requirements:
        found = REQUIREMENT.match(line)
        if found and found["name"].replace("_", "-").lower() == wanted:
            return f"This needs {wanted}, which is not installed: pip install '{DISTRIBUTION}[{found['extra']}]'."
    return None


def _requirements() -> list[str]:
    try:
        return requires(DISTRIBUTION) or []
    except PackageNotFoundError:  # run from a source folder that is not installed
        return []
