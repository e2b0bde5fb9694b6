"""A killed evaluation goes on where it stopped and ends with the same detections."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from crqat_pipeline.evaluation.detection_store import DetectionStore, detect_with_resume
from crqat_pipeline.evaluation.detection_table import DetectionTable
from crqat_pipeline.runtime.seeding import numpy_generator

IDS = [7, 3, 11, 5, 2, 9, 4]
FACTS = {"weights": "abc", "threshold": 0.001, "sizes": (640, 640)}


def _detections(image_id: int) -> DetectionTable:
    rng = numpy_generator(0, image_id)
    num = int(rng.integers(0, 4))
    return DetectionTable(
        np.full(num, image_id), rng.integers(1, 5, num), rng.random((num, 4)) + 1, np.sort(rng.random(num))[::-1]
    )


class Detector:
    """Detects image by image and dies before the image it is told to."""

    def __init__(self, dies_at: int | None = None) -> None:
        self.dies_at, self.seen = dies_at, list[int]()

    def __call__(self, image_ids: Sequence[int]) -> Iterator[tuple[int, DetectionTable]]:
        for image_id in image_ids:
            if image_id == self.dies_at:
                raise KeyboardInterrupt
            self.seen.append(image_id)
            yield image_id, _detections(image_id)


@pytest.mark.parametrize("images_per_shard", [1, 2, 100])
@pytest.mark.parametrize("dies_at", [7, 5, 4])
def test_a_killed_run_goes_on(images_per_shard: int, dies_at: int, tmp_path: Path) -> None:
    first, second = Detector(dies_at), Detector()
    with pytest.raises(KeyboardInterrupt):
        detect_with_resume(DetectionStore(tmp_path, FACTS), IDS, first, images_per_shard)
    table = detect_with_resume(DetectionStore(tmp_path, FACTS), IDS, second, images_per_shard)
    kept = len(first.seen) // images_per_shard * images_per_shard
    assert second.seen == IDS[kept:]
    assert table.records() == DetectionTable.concatenate(map(_detections, IDS)).records()
    third = Detector()
    again = detect_with_resume(DetectionStore(tmp_path, FACTS), IDS[::-1], third, images_per_shard)
    assert third.seen == []
    assert again.records() == DetectionTable.concatenate(map(_detections, IDS[::-1])).records()


def test_images_without_detections_are_done_too(tmp_path: Path) -> None:
    store = DetectionStore(tmp_path, FACTS)
    store.append([7, 3], DetectionTable.empty())
    assert store.done().tolist() == [7, 3]
    assert len(store.table([3, 7])) == 0


def test_detections_of_another_run_are_not_mixed_in(tmp_path: Path) -> None:
    DetectionStore(tmp_path, FACTS)
    with pytest.raises(ValueError, match=r"of another run \(threshold: 0.001 there, 0.3 now; weights: 'abc' there"):
        DetectionStore(tmp_path, {**FACTS, "threshold": 0.3, "weights": "xyz"})


def test_broken_shards_and_misuse_are_named(tmp_path: Path) -> None:
    store = DetectionStore(tmp_path, FACTS)
    with pytest.raises(ValueError, match=r"of its own images; got images \[3\]"):
        store.append([1], DetectionTable(np.array([3]), np.array([1]), np.ones((1, 4)), np.ones(1)))
    with pytest.raises(ValueError, match=r"1 images of .* not finished: \[5\]"):
        store.table([5])
    store.append([1], DetectionTable.empty())
    (path,) = store.shards()
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(ValueError, match=r"shard-000000.npz is damaged .* Delete it"):
        store.done()
    path.unlink()
    store.append([2], DetectionTable.empty())
    assert store.done().tolist() == [2]
