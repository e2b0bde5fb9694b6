"""faster-coco-eval and the reference libraries agree to 1e-9 in every figure."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crqat_pipeline.evaluation import evaluate
from tests.support.evaluation_scenes import random_scene

pytest.importorskip("faster_coco_eval")


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    protocol=st.sampled_from(["coco", "lvis", "lvis-fixed"]),
    num_images=st.integers(1, 7),
    max_objects=st.integers(0, 9),
    max_detections=st.integers(0, 60),
    score_steps=st.sampled_from([0, 1, 4]),
)
def test_every_figure(
    seed: int, protocol: str, num_images: int, max_objects: int, max_detections: int, score_steps: int
) -> None:
    truth, detections = random_scene(
        seed,
        federated=protocol != "coco",
        num_images=num_images,
        max_objects=max_objects,
        max_detections=max_detections,
        score_steps=score_steps,
        with_crowds=True,
    )
    reference, fast = (evaluate(truth, detections, protocol, backend) for backend in ("reference", "fast"))
    assert fast.metrics == pytest.approx(reference.metrics, abs=1e-9)
    for ours, theirs in zip(fast.per_category, reference.per_category, strict=True):
        assert (ours.ap, ours.ap50, ours.ap75, ours.ar) == pytest.approx(
            (theirs.ap, theirs.ap50, theirs.ap75, theirs.ar), abs=1e-9
        )


@pytest.mark.parametrize("score_steps", [0, 3])
def test_an_image_with_more_than_300_detections(score_steps: int) -> None:
    truth, detections = random_scene(
        8, federated=True, num_images=3, max_objects=60, max_detections=1500, score_steps=score_steps
    )
    assert len(detections) > 900
    reference, fast = (evaluate(truth, detections, "lvis", backend) for backend in ("reference", "fast"))
    assert fast.metrics == pytest.approx(reference.metrics, abs=1e-9)


@pytest.mark.parametrize("score_steps", [0, 3])
def test_more_than_100_detections_of_a_category_in_a_crowded_image(score_steps: int) -> None:
    truth, detections = random_scene(
        0,
        federated=False,
        num_images=2,
        num_categories=2,
        max_objects=40,
        max_detections=900,
        score_steps=score_steps,
        with_crowds=True,
    )
    counts = Counter((one["image_id"], one["category_id"]) for one in detections)
    assert min(counts.values()) > 100
    reference, fast = (evaluate(truth, detections, "coco", backend) for backend in ("reference", "fast"))
    assert fast.metrics == pytest.approx(reference.metrics, abs=1e-9)


def test_fast_refuses_ignored_lvis_objects() -> None:
    truth, detections = random_scene(3, federated=True)
    truth["annotations"][0]["ignore"] = 1
    evaluate(truth, detections, "lvis")
    with pytest.raises(ValueError, match=r"does not know the flag `ignore`.*has 1"):
        evaluate(truth, detections, "lvis", "fast")
