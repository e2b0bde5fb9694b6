"""Checks of what a detector says of itself, on the meta device."""

from __future__ import annotations

import torch
from torch import nn

from crqat_pipeline.detectors import OpenVocabularyDetector
from crqat_pipeline.quantization.full_precision import matches
from crqat_pipeline.structures.quantization_contract import product_operands_of
from crqat_pipeline.testing.sample import side_px


def check_shapes(detector: OpenVocabularyDetector) -> None:
    """Logits, boxes and embeddings of the same regions; features by the names that the class gives, on request only."""
    with torch.device("meta"):
        images = torch.zeros(2, 3, side_px(detector), side_px(detector, 3))
        text = torch.zeros(2, 5, detector.embedding_dim)
        output = detector.eval()(images, text, return_features=True)
        plain, shared = detector(images, text), detector(images, text[0])
    num_regions = output.boxes_BN4.shape[1]
    assert output.class_logits_BNK.shape == (2, num_regions, 5), "class_logits_BNK is (B, N, K)"
    assert output.boxes_BN4.shape == (2, num_regions, 4), "boxes_BN4 is (B, N, 4)"
    expected = (2, num_regions, output.text_embeddings.shape[-1])
    assert output.region_embeddings_BND.shape == expected, (
        "region_embeddings_BND is (B, N, D), D that of the output's texts"
    )
    assert output.text_embeddings.shape[:2] == (2, 5), "text_embeddings are (B, K, D) for texts (B, K, D)"
    assert shared.text_embeddings.shape[:1] == (5,), "text_embeddings are (K, D) for texts (K, D)"
    assert shared.class_logits_BNK.shape == (2, num_regions, 5), "texts (K, D) are shared by the images"
    names = (*detector.backbone_feature_names, *detector.neck_feature_names)
    assert tuple(output.features) == names, f"features are {names} in this order; got {tuple(output.features)}"
    assert all(feature.ndim == 4 for feature in output.features.values()), "features are (B, C, h, w)"
    assert not plain.features, "features are filled on request only"


def check_parts(detector: OpenVocabularyDetector) -> None:
    """Every parameter belongs to one part; edges and patterns name what exists."""
    owners = {
        key: [part for part, prefixes in detector.parts.items() if key.startswith(tuple(f"{p}." for p in prefixes))]
        for key, _ in detector.named_parameters()
    }
    wrong = [key for key, parts in owners.items() if len(parts) != 1]
    assert not wrong, f"every parameter belongs to exactly one part; not so {wrong[:3]}"
    modules = dict(detector.named_modules())
    missing = [edge for edge in detector.edge_layers if not isinstance(modules.get(edge), nn.Conv2d | nn.Linear)]
    assert not missing, f"edge layers are convolutions or linear layers; not so {missing[:3]}"
    idle = [one for one in detector.full_precision if not any(matches(name, one) for name in modules)]
    assert not idle, f"patterns of full_precision match a module; not so {idle}"
    assert detector.loss_names, "loss_names names the terms of the loss"


def check_order(detector: OpenVocabularyDetector, parts: tuple[str, ...]) -> None:
    """The family's row names the parts of its detectors, in their order: plans of the curriculum count on it."""
    assert tuple(detector.parts) == parts, f"the row has the parts {parts}, the detector {tuple(detector.parts)}"


def check_products(detector: OpenVocabularyDetector) -> None:
    """Operands of products pass through identities; regions are compared with texts somewhere."""
    products = [(module, product_operands_of(module)) for module in detector.modules()]
    kinds = []
    for module, operands in products:
        if operands is None:
            continue
        kinds.append(operands.kind)
        children = dict(module.named_children())
        wrong = [name for name in operands.head_axis if not isinstance(children.get(name), nn.Identity)]
        assert not wrong, f"operands of {type(module).__name__} are nn.Identity children; not so {wrong}"
    assert "similarity" in kinds, "the product of regions and texts declares its operands with kind='similarity'"
