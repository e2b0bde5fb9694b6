"""Random ground truth and detections for the tests of the evaluation room."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np

Scene = tuple[dict[str, Any], list[dict[str, Any]]]


def random_scene(
    seed: int,
    *,
    federated: bool,
    num_images: int = 6,
    num_categories: int = 5,
    max_objects: int = 5,
    max_detections: int = 12,
    score_steps: int = 0,
    with_crowds: bool = False,
) -> Scene:
    """Objects with detections near them and elsewhere. score_steps > 0 rounds scores, which makes ties."""
    rng = np.random.default_rng(seed)
    categories = [{"id": 3 * k + 2, "name": f"kind {k}", "frequency": "rcf"[k % 3]} for k in range(num_categories)]
    ids = [one["id"] for one in categories]
    images: list[dict[str, Any]] = []
    objects: list[dict[str, Any]] = []
    detections: list[dict[str, Any]] = []
    for image_id in (11 + 7 * i for i in rng.permutation(num_images).tolist()):
        images.append({"id": image_id, "file_name": f"{image_id}.jpg", "width": 640, "height": 480})
        boxes = [_box(rng) for _ in range(rng.integers(0, max_objects + 1))]
        for box in boxes:
            objects.append(
                {
                    "id": len(objects),
                    "image_id": image_id,
                    "category_id": int(rng.choice(ids)),
                    "bbox": box,
                    "area": box[2] * box[3] * float(rng.uniform(0.3, 1)),
                    "iscrowd": int(with_crowds and rng.random() < 0.3),
                }
            )
        if federated:
            negative = rng.random(num_categories) < 0.5
            present = {one["category_id"] for one in objects if one["image_id"] == image_id}
            images[-1]["neg_category_ids"] = [c for c, n in zip(ids, negative, strict=True) if n and c not in present]
            images[-1]["not_exhaustive_category_ids"] = [c for c in ids if rng.random() < 0.2]
        for _ in range(rng.integers(0, max_detections + 1)):
            near = boxes and rng.random() < 0.6
            box = _near(rng, boxes[rng.integers(len(boxes))]) if near else _box(rng)
            score = float(rng.random())
            detections.append(
                {
                    "image_id": image_id,
                    "category_id": int(rng.choice(ids)),
                    "bbox": box,
                    "score": round(score * score_steps) / score_steps if score_steps else score,
                }
            )
    order = rng.permutation(len(detections))
    if federated:
        for one in objects:
            del one["iscrowd"]
    truth = {"images": images, "annotations": objects, "categories": categories[::-1]}
    return truth, [detections[i] for i in order]


def _box(rng: np.random.Generator) -> list[float]:
    width, height = (float(v) for v in rng.choice([8.0, 40.0, 150.0], 2) * rng.uniform(0.5, 1.5, 2))
    return [float(rng.uniform(0, 640 - width)), float(rng.uniform(0, 480 - height)), width, height]


def _near(rng: np.random.Generator, box: list[float]) -> list[float]:
    shift = rng.normal(0, 0.1, 4) * np.array(box)[[2, 3, 2, 3]]
    moved = np.array(box) + shift
    return [float(moved[0]), float(moved[1]), float(max(moved[2], 1)), float(max(moved[3], 1))]


def plain_coco(truth: dict[str, Any], detections: list[dict[str, Any]]) -> Any:
    """pycocotools as its documentation uses it, on copies; object ids from 1."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    api = COCO()
    api.dataset = _from_one(truth)
    api.createIndex()
    evaluation = COCOeval(api, api.loadRes(copy.deepcopy(detections)), "bbox")
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    return evaluation


def plain_lvis(truth: dict[str, Any], detections: list[dict[str, Any]], max_dets: int, path: Any) -> Any:
    """lvis as its documentation uses it: the annotation file read from disk, results by LVISResults."""
    import json

    from crqat_pipeline.evaluation.backend_reference import lvis_on_this_numpy

    module = lvis_on_this_numpy()
    path.write_text(json.dumps(_from_one(truth)))
    api = module.LVIS(str(path))
    evaluation = module.LVISEval(api, module.LVISResults(api, copy.deepcopy(detections), max_dets), "bbox")
    evaluation.run()
    return evaluation


def _from_one(truth: dict[str, Any]) -> dict[str, Any]:
    truth = copy.deepcopy(truth)
    for one in truth["annotations"]:
        one["id"] += 1
    return truth
