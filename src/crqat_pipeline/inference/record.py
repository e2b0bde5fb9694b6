"""What was found in one image, as plain data for JSON files and tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from crqat_pipeline.structures.output import Detections


def detection_rows(detections: Detections, prompts: Sequence[str]) -> list[dict[str, Any]]:
    """One {"prompt", "score", "box_xyxy_px"} per detection, best first; scores with 4 decimals, pixels with 2.

    Where a prompt stands twice, as LVIS's "bow" does, "label" says which of the prompts it is.
    """
    is_ambiguous = len(set(prompts)) < len(prompts)
    rows = zip(detections.boxes_M4.tolist(), detections.scores_M.tolist(), detections.labels_M.tolist(), strict=True)
    return [
        {
            "prompt": prompts[label],
            "score": round(score, 4),
            "box_xyxy_px": [round(side, 2) for side in box],
            **({"label": label} if is_ambiguous else {}),
        }
        for box, score, label in rows
    ]
