"""Non-maximum suppression per prompt as part of the graph.

Shape letters: B images, N regions, K prompts, M detections of the whole batch.
"""

from __future__ import annotations

import numpy as np

from crqat_pipeline.export.onnx.graph import OnnxGraph

NAME = "suppression"


def add_nms(
    graph: OnnxGraph, boxes_BN4: str, scores_BNK: str, iou: float, score_threshold: float, max_per_prompt: int
) -> None:
    """Outputs detection_images, detection_labels, detection_scores, detection_boxes: all survivors, best first."""
    from onnx import TensorProto

    scores_BKN = graph.node("Transpose", scores_BNK, name=NAME, perm=[0, 2, 1])
    limits = (
        graph.integers(max_per_prompt),
        graph.constant(np.asarray([iou], np.float32), f"{NAME}/iou"),
        graph.constant(np.asarray([score_threshold], np.float32), f"{NAME}/threshold"),
    )
    chosen_M3 = graph.node("NonMaxSuppression", boxes_BN4, scores_BKN, *limits, name=NAME)
    scores_M = graph.node("GatherND", scores_BKN, chosen_M3, name=NAME)
    count = graph.node("Shape", scores_M, name=NAME)
    best_M, order_M = graph.nodes("TopK", scores_M, count, name=NAME, num_outputs=2, axis=0)
    sorted_M3 = graph.node("Gather", chosen_M3, order_M, name=NAME, axis=0)
    images_M1, labels_M1, regions_M1 = graph.nodes(
        "Split", sorted_M3, graph.integers(1, 1, 1), name=NAME, num_outputs=3, axis=1
    )
    places_M2 = graph.node("Concat", images_M1, regions_M1, name=NAME, axis=1)
    boxes_M4 = graph.node("GatherND", boxes_BN4, places_M2, name=NAME)
    images_M, labels_M = (
        graph.node("Squeeze", column, graph.integers(1), name=NAME) for column in (images_M1, labels_M1)
    )
    graph.output(images_M, "detection_images", ("detections",), TensorProto.INT64)
    graph.output(labels_M, "detection_labels", ("detections",), TensorProto.INT64)
    graph.output(best_M, "detection_scores", ("detections",), TensorProto.FLOAT)
    graph.output(boxes_M4, "detection_boxes", ("detections", 4), TensorProto.FLOAT)
