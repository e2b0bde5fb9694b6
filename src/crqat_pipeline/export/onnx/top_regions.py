"""The best regions of each image in shapes that do not depend on what is found.

Shape letters: B images, N regions, K prompts, T best regions.
"""

from __future__ import annotations

from crqat_pipeline.export.onnx.graph import OnnxGraph

NAME = "top_regions"


def add_top_regions(graph: OnnxGraph, boxes_BN4: str, scores_BNK: str, count: int, batch: int | str) -> None:
    """Outputs top_labels, top_scores (B, T) and top_boxes (B, T, 4): each region with its best prompt, best first.

    Nothing is suppressed and nothing dropped for its score. An image with fewer regions gives all of them.
    """
    import numpy as np
    from onnx import TensorProto

    best_BN = graph.node("ReduceMax", scores_BNK, graph.integers(2), name=NAME, keepdims=0)
    labels_BN = graph.node("ArgMax", scores_BNK, name=NAME, axis=2, keepdims=0)
    num_regions = graph.node("Shape", best_BN, name=NAME, start=1, end=2)
    limit = graph.node("Min", num_regions, graph.constant(np.asarray([count], np.int64), f"{NAME}/count"), name=NAME)
    scores_BT, regions_BT = graph.nodes("TopK", best_BN, limit, name=NAME, num_outputs=2, axis=1)
    top_labels_BT = graph.node("GatherElements", labels_BN, regions_BT, name=NAME, axis=1)
    regions_BT1 = graph.node("Unsqueeze", regions_BT, graph.integers(2), name=NAME)
    top_boxes_BT4 = graph.node("GatherND", boxes_BN4, regions_BT1, name=NAME, batch_dims=1)
    graph.output(top_labels_BT, "top_labels", (batch, "top"), TensorProto.INT64)
    graph.output(scores_BT, "top_scores", (batch, "top"), TensorProto.FLOAT)
    graph.output(top_boxes_BT4, "top_boxes", (batch, "top", 4), TensorProto.FLOAT)
