"""The three protocols by which an AP can be measured; every result names its own."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Protocol:
    """best_per_image: detections kept per image over all categories. best_per_category: detections kept per
    category over the whole set. limits: the cuts per image and category that recall is reported at (the last one
    also holds for AP); empty: no such cut.
    """

    name: str
    is_federated: bool
    best_per_image: int | None
    best_per_category: int | None
    limits: tuple[int, ...]
    meaning: str


PROTOCOLS: dict[str, Protocol] = {
    "coco": Protocol("coco", False, None, None, (1, 10, 100), "COCO box AP, 100 per image and category"),
    "lvis": Protocol("lvis", True, 300, None, (), "LVIS box AP, the best 300 detections per image"),
    "lvis-fixed": Protocol(
        "lvis-fixed",
        True,
        None,
        10_000,
        (),
        "LVIS Fixed AP (Dave et al. 2021): the best 10,000 detections per category over the set, no cap per image",
    ),
}
