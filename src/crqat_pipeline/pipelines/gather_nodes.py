"""Nodes after which what always travels together is one entry."""

from __future__ import annotations

from kedro.pipeline import Node

from crqat_pipeline.recipes.gathered import GATHERED
from crqat_pipeline.runtime.needs import LIGHT


def gather(*names: str) -> list[Node]:
    """One node for each of these rows of GATHERED."""
    return [
        Node(GATHERED[name].makes, inputs=dict(GATHERED[name].parts), outputs=name, name=f"gather_{name}", tags=LIGHT)
        for name in names
    ]
