"""What a node needs, as a tag: `kedro run --tags=light` runs what a machine without an accelerator does well.

A scheduler sends the nodes of GPU to machines that have one; they run on a CPU as well, and slowly.
"""

from __future__ import annotations

from typing import Final

GPU: Final = "gpu"
"""Runs a network over many images."""

LIGHT: Final = "light"
"""Reads, writes, counts, draws, or runs a network over a few images."""
