"""The family that is made of detectron2's RetinaNet gives the answers of detectron2's RetinaNet.

Shape letters: B images, 3 RGB, H W pixels, K classes, D embedding.
"""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from crqat_pipeline.detectors import FAMILIES, build_detector
from crqat_pipeline.detectors.foreign_weights import read_foreign_weights
from crqat_pipeline.detectors.weights import WeightsRefused
from crqat_pipeline.model_files.checkpoint_file import read_checkpoint, text_bank_of
from crqat_pipeline.model_files.rebuilding import rebuild
from crqat_pipeline.recipes.weight_conversion import write_converted
from crqat_pipeline.structures.vocabulary import TextBank

ROW = FAMILIES["detectron2_retinanet"]
IS_MISSING = bool(ROW.missing_modules)
needs_detectron2 = pytest.mark.skipif(IS_MISSING, reason="detectron2 is not installed: see docs/how_to")
NUM_CLASSES, EMBEDDING_DIM = 5, 16
OPTIONS: dict[str, Any] = {
    "depth": 50,
    "blocks": (1, 2, 1, 1),
    "stem_channels": 8,
    "res2_channels": 16,
    "bottleneck_channels": 4,
    "pyramid_channels": 16,
    "head_convs": 2,
    "embedding_dim": EMBEDDING_DIM,
}


def _detector() -> nn.Module:
    return build_detector("detectron2_retinanet_r50_fpn", **OPTIONS).eval()


def _original() -> Any:
    """The same RetinaNet built by detectron2 alone, with frozen norms and random statistics."""
    from detectron2.layers import FrozenBatchNorm2d, ShapeSpec
    from detectron2.modeling.anchor_generator import DefaultAnchorGenerator
    from detectron2.modeling.backbone import FPN, BasicStem, ResNet
    from detectron2.modeling.backbone.fpn import LastLevelP6P7
    from detectron2.modeling.backbone.resnet import BottleneckBlock
    from detectron2.modeling.box_regression import Box2BoxTransform
    from detectron2.modeling.matcher import Matcher
    from detectron2.modeling.meta_arch import RetinaNet
    from detectron2.modeling.meta_arch.retinanet import RetinaNetHead

    torch.manual_seed(0)
    stages, incoming = [], 8
    for index, number in enumerate(OPTIONS["blocks"]):
        stages.append(
            ResNet.make_stage(
                BottleneckBlock,
                number,
                stride_per_block=[1 if index == 0 else 2] + [1] * (number - 1),
                in_channels=incoming,
                out_channels=16 * 2**index,
                bottleneck_channels=4 * 2**index,
                stride_in_1x1=True,
                norm="FrozenBN",
            )
        )
        incoming = 16 * 2**index
    names = ["res3", "res4", "res5"]
    resnet = ResNet(BasicStem(3, 8, norm="FrozenBN"), stages, out_features=names)
    head = RetinaNetHead(
        input_shape=[ShapeSpec(channels=16)] * 5, num_classes=NUM_CLASSES, num_anchors=9, conv_dims=[16] * 2
    )
    model = RetinaNet(
        backbone=FPN(resnet, names, 16, top_block=LastLevelP6P7(128, 16)),
        head=head,
        head_in_features=["p3", "p4", "p5", "p6", "p7"],
        anchor_generator=DefaultAnchorGenerator(
            sizes=[[x, x * 2 ** (1.0 / 3), x * 2 ** (2.0 / 3)] for x in [32, 64, 128, 256, 512]],
            aspect_ratios=[0.5, 1.0, 2.0],
            strides=[8, 16, 32, 64, 128],
            offset=0.0,
        ),
        box2box_transform=Box2BoxTransform(weights=[1.0, 1.0, 1.0, 1.0]),
        anchor_matcher=Matcher([0.4, 0.5], [0, -1, 1], allow_low_quality_matches=True),
        num_classes=NUM_CLASSES,
        pixel_mean=[103.53, 116.28, 123.675],
        pixel_std=[1.0, 1.0, 1.0],
    ).eval()
    for module in model.modules():
        if isinstance(module, FrozenBatchNorm2d):
            module.running_mean.normal_(std=0.1)
            module.running_var.uniform_(0.5, 2)
            module.weight.uniform_(0.5, 1.5)
            module.bias.normal_(std=0.1)
        if isinstance(module, nn.Conv2d) and module in set(head.modules()):
            nn.init.normal_(module.weight, std=0.05)
    return model


def _answer(model: Any, images_B3HW: Tensor) -> tuple[Tensor, Tensor]:
    """Logits (B, N, K) and boxes (B, N, 4) of detectron2's RetinaNet before its post-processing."""
    from detectron2.structures import Boxes

    pixels = (images_B3HW.flip(1) * 255 - model.pixel_mean) / model.pixel_std
    features = model.backbone(pixels)
    features = [features[name] for name in model.head_in_features]
    logits, deltas = model._transpose_dense_predictions(model.head(features), [NUM_CLASSES, 4])
    anchors = Boxes.cat(model.anchor_generator(features)).tensor
    boxes = [model.box2box_transform.apply_deltas(one, anchors) for one in torch.cat(deltas, dim=1)]
    return torch.cat(logits, dim=1), torch.stack(boxes)


def _bank(num_prompts: int = NUM_CLASSES) -> TextBank:
    embeddings = torch.randn(num_prompts, EMBEDDING_DIM, generator=torch.Generator().manual_seed(3))
    return TextBank(tuple(f"class {k}" for k in range(num_prompts)), embeddings, "random", is_normalized=False)


def _zoo_file(folder: Path, model: Any) -> Path:
    arrays = {key: value.numpy() for key, value in model.state_dict().items()}
    path = folder / "model_final_0a1b2c.pkl"
    path.write_bytes(pickle.dumps({"model": arrays, "__author__": "a test"}, protocol=2))
    return path


@needs_detectron2
def test_a_closed_vocabulary_becomes_prompts_with_equal_answers(tmp_path: Path) -> None:
    original, detector, bank = _original(), _detector(), _bank()
    report = detector.load_weights(_zoo_file(tmp_path, original), bank)
    assert set(report.loaded) == set(detector.state_dict()) - {"pixels.mean_C11", "pixels.std_C11"}
    images_B3HW = torch.rand(2, 3, 96, 64)
    with torch.no_grad():
        logits_BNK, boxes_BN4 = _answer(original, images_B3HW)
        output = detector(images_B3HW, bank.embeddings_KD)
    assert float(logits_BNK.std()) > 0.01
    torch.testing.assert_close(output.class_logits_BNK, logits_BNK, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(output.boxes_BN4, boxes_BN4, rtol=1e-4, atol=1e-2)


@needs_detectron2
def test_without_a_text_bank_class_weights_are_left_out(tmp_path: Path) -> None:
    original, detector = _original(), _detector()
    torch.save({"model": original.state_dict(), "optimizer": {}, "iteration": 7}, tmp_path / "model.pth")
    before = detector.head.cls_score.weight.clone()
    report = detector.load_weights(tmp_path / "model.pth")
    assert torch.equal(detector.head.cls_score.weight, before)
    assert torch.equal(detector.head.bbox_pred.weight, original.head.bbox_pred.weight)
    assert {key for key, _ in report.skipped} == {"head.cls_score.weight", "head.cls_score.bias"}
    again = _detector()
    torch.save(detector.state_dict(), tmp_path / "own.pth")
    again.load_weights(tmp_path / "own.pth")
    assert all(torch.equal(value, again.state_dict()[key]) for key, value in detector.state_dict().items())


@needs_detectron2
def test_a_zoo_file_is_understood_without_a_text_bank_and_becomes_a_checkpoint(tmp_path: Path) -> None:
    original = _original()
    weights = read_foreign_weights(_zoo_file(tmp_path, original))
    assert weights.detector_name == "detectron2_retinanet_r50_fpn"
    found = {"depth": 50, **weights.detector_options}
    assert {key: found[key] for key in OPTIONS} == {**OPTIONS, "embedding_dim": NUM_CLASSES}
    assert weights.prompts == tuple(f"class {index}" for index in range(1, NUM_CLASSES + 1))
    write_converted(weights, tmp_path / "m.safetensors")
    checkpoint = read_checkpoint(tmp_path / "m.safetensors")
    detector, bank = rebuild(checkpoint).detector.eval(), text_bank_of(checkpoint)
    assert bank is not None
    images_B3HW = torch.rand(2, 3, 96, 64)
    with torch.no_grad():
        logits_BNK, boxes_BN4 = _answer(original, images_B3HW)
        output = detector(images_B3HW, bank.embeddings_KD)
    torch.testing.assert_close(output.class_logits_BNK, logits_BNK, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(output.boxes_BN4, boxes_BN4, rtol=1e-4, atol=1e-2)


@needs_detectron2
def test_anchors_that_no_tensor_tells_are_refused(tmp_path: Path) -> None:
    state = _original().state_dict()
    state["head.bbox_pred.weight"] = state["head.bbox_pred.weight"][:12].clone()
    torch.save({"model": state}, tmp_path / "m.pth")
    with pytest.raises(WeightsRefused, match=r"3 anchors per cell; those of the model zoo have 9.*teacher\.weights"):
        read_foreign_weights(tmp_path / "m.pth")


@needs_detectron2
def test_a_resnet_alone_fills_the_backbone(tmp_path: Path) -> None:
    original, detector = _original(), _detector()
    neck = detector.neck.fpn_lateral3.weight.clone()
    torch.save(original.backbone.bottom_up.state_dict(), tmp_path / "resnet.pth")
    report = detector.load_weights(tmp_path / "resnet.pth")
    assert all(key.startswith("backbone.") for key in report.loaded)
    assert torch.equal(detector.neck.fpn_lateral3.weight, neck)
    assert torch.equal(detector.backbone.stem.conv1.conv.weight, original.backbone.bottom_up.stem.conv1.weight)


@needs_detectron2
def test_files_that_do_not_fit_are_refused_and_change_nothing(tmp_path: Path) -> None:
    original, detector = _original(), _detector()
    before = {key: value.clone() for key, value in detector.state_dict().items()}
    path = _zoo_file(tmp_path, original)
    with pytest.raises(WeightsRefused, match="exactly the file's classes"):
        detector.load_weights(path, _bank(NUM_CLASSES + 1))
    twice = TextBank(_bank().prompts, _bank().embeddings_KD[[0, 0, 1, 2, 3]], "random", is_normalized=False)
    with pytest.raises(WeightsRefused, match="not independent"):
        detector.load_weights(path, twice)
    other = build_detector("detectron2_retinanet_r50_fpn", **{**OPTIONS, "pyramid_channels": 24})
    with pytest.raises(WeightsRefused, match="other shapes"):
        other.load_weights(path)
    deeper = build_detector("detectron2_retinanet_r50_fpn", **{**OPTIONS, "blocks": (1, 2, 2, 1)})
    with pytest.raises(WeightsRefused, match="lacks"):
        deeper.load_weights(path)
    assert all(torch.equal(value, detector.state_dict()[key]) for key, value in before.items())


@pytest.mark.skipif(not IS_MISSING, reason="detectron2 is installed")
def test_where_it_is_missing_the_error_says_what_to_install() -> None:
    with pytest.raises(ValueError, match="use_with_detectron2"):
        build_detector("detectron2_retinanet_r50_fpn")


def test_options_are_checked_before_detectron2_is_asked_for() -> None:
    with pytest.raises(ValueError, match="ascending order"):
        build_detector("detectron2_retinanet_r50_fpn", match_iou=(0.5, 0.4))
