import copy
import json

import numpy as np
import onnx
import pytest
import torch
from torchvision.ops import nms

from crqat_pipeline.export.onnx import FORMS, OnnxSpec, build_onnx, write_onnx
from crqat_pipeline.export.onnx.runtime import open_model
from crqat_pipeline.export.onnx.saturation import raise_weights
from crqat_pipeline.structures.vocabulary import TextBank
from tests.support.small_students import minmax_spec, small_detector, small_inputs, small_student

OUTPUTS = ("boxes", "scores", "embeddings")


def ran(model, images, texts, outputs=OUTPUTS):
    feeds = {"images": images.numpy(), "text_embeddings": texts.numpy()}
    return open_model(model.SerializeToString(), outputs)(feeds).outputs


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize(("num_images", "size_px", "num_prompts"), [(1, (32, 64), 1), (3, (160, 32), 11)])
def test_a_full_precision_graph_gives_the_detectors_numbers_at_any_size(version, num_images, size_px, num_prompts):
    detector = small_detector(version)
    images, texts = small_inputs(num_images, size_px, num_prompts)
    got = ran(build_onnx(detector, OnnxSpec(form="fp32")), images, texts * 3)
    with torch.no_grad():
        expected = detector(images, texts * 3)
    np.testing.assert_allclose(got["boxes"], expected.boxes_BN4, atol=2e-4)
    np.testing.assert_allclose(got["scores"], expected.class_logits_BNK.sigmoid(), atol=2e-6)
    np.testing.assert_allclose(got["embeddings"], expected.region_embeddings_BND, atol=2e-5)


@pytest.mark.parametrize("version", [1, 2])
def test_fixed_vocabulary_size_and_no_embeddings(version):
    detector = small_detector(version)
    images, texts = small_inputs()
    bank = TextBank(("a", "b", "c", "d", "e"), texts, "test", is_normalized=False)
    spec = OnnxSpec(form="fp32", has_fixed_vocabulary=True, has_embeddings=False, batch_size=1, image_size_px=(96, 64))
    model = build_onnx(detector, spec, bank)
    assert [entry.name for entry in model.graph.input] == ["images"]
    assert [entry.name for entry in model.graph.output] == ["boxes", "scores"]
    assert [side.dim_value for side in model.graph.input[0].type.tensor_type.shape.dim] == [1, 3, 96, 64]
    with torch.no_grad():
        expected = detector(images, texts).class_logits_BNK.sigmoid()
    np.testing.assert_allclose(ran(model, images, texts, ["scores"])["scores"], expected, atol=2e-6)


def test_without_embeddings_version_2_leaves_out_the_embedding_convolutions():
    detector = small_detector(2)
    short = build_onnx(detector, OnnxSpec(form="fp32", has_embeddings=False))
    full = build_onnx(detector, OnnxSpec(form="fp32"))
    count = [sum(node.op_type == "Conv" for node in model.graph.node) for model in (full, short)]
    assert count == [57, 54]


def test_a_quantized_similarity_stays_as_it_was_trained():
    student = small_student(minmax_spec(pre_activation_bits=8, similarity_bits=8))
    images, texts = small_inputs()
    with torch.no_grad():
        expected = student(images, texts).class_logits_BNK.sigmoid()
    for has_embeddings in (True, False):
        model = build_onnx(student, OnnxSpec(form="spec", has_embeddings=has_embeddings))
        np.testing.assert_allclose(ran(model, images, texts, ["scores"])["scores"], expected, atol=2e-2)


@pytest.mark.parametrize("form", sorted(FORMS))
def test_every_form_is_a_valid_model_of_its_opset(form):
    model = build_onnx(small_student(minmax_spec(pre_activation_bits=8)), OnnxSpec(form=form))
    onnx.checker.check_model(model, full_check=form != "fast")
    assert {entry.domain: entry.version for entry in model.opset_import}[""] == FORMS[form].opset
    facts = json.loads({entry.key: entry.value for entry in model.metadata_props}["crqat"])
    assert (facts["form"], facts["format_version"], facts["embedding_dim"]) == (form, 1, 64)
    assert facts["wide_layers"] == []


def test_weights_lie_in_the_file_as_int4_and_are_the_students_codes():
    student = small_student(minmax_spec(pre_activation_bits=8))
    model = build_onnx(student, OnnxSpec(form="spec"))
    stored = {tensor.name: tensor for tensor in model.graph.initializer}
    layer, norm = student.backbone.stage1.down.conv, student.backbone.stage1.down.bn
    codes = stored["backbone.stage1.down.conv.weight_codes"]
    assert codes.data_type == onnx.TensorProto.INT4
    signs = norm.weight.detach().sign()[:, None, None, None]
    expected = layer.weight_quantizer.codes(layer.weight) * signs
    assert np.array_equal(onnx.numpy_helper.to_array(codes).astype(np.int8), expected.numpy())
    assert len(codes.raw_data) == expected.numel() // 2
    scales = onnx.numpy_helper.to_array(stored["backbone.stage1.down.conv.weight_scale"])
    assert (scales > 0).all()


def test_a_negated_lowest_code_falls_back_to_int8():
    student = copy.deepcopy(small_student(minmax_spec(narrow_weight_range=False)))
    layer = student.backbone.stage1.down.conv
    with torch.no_grad():
        layer.weight[0, 0, 0, 0] = -9 * layer.weight_quantizer.scale[0]
    assert student.backbone.stage1.down.bn.weight[0] < 0
    for form, value in (("fast", 8 * 8), ("spec", 8)):
        stored = {tensor.name: tensor for tensor in build_onnx(student, OnnxSpec(form=form)).graph.initializer}
        codes = stored["backbone.stage1.down.conv.weight_codes"]
        assert codes.data_type == onnx.TensorProto.INT8
        assert onnx.numpy_helper.to_array(codes)[0, 0, 0, 0] == value
        assert stored["backbone.stage1.csp.exit.conv.weight_codes"].data_type == onnx.TensorProto.INT4


def test_four_bit_weights_beside_bytes_stay_within_pairs_of_16_bits_and_four_bits_of_the_file():
    model = build_onnx(small_student(minmax_spec("4-8-8", pre_activation_bits=8)), OnnxSpec(form="fast"))
    facts = json.loads({entry.key: entry.value for entry in model.metadata_props}["crqat"])
    assert facts["wide_layers"] == []
    codes = [tensor for tensor in model.graph.initializer if tensor.name.endswith(".weight_codes")]
    assert {tensor.data_type for tensor in codes} == {onnx.TensorProto.INT4}
    assert max(int(values.max()) for values in multipliers(model)) == 8


def multipliers(model):
    stored = {tensor.name: tensor for tensor in model.graph.initializer}
    muls = [node for node in model.graph.node if node.op_type == "Mul" and node.name.endswith(".weight/Mul")]
    assert muls
    return [onnx.numpy_helper.to_array(stored[node.input[1]]) for node in muls]


def test_eight_bit_layers_are_named_as_wide_and_stored_unsigned_where_that_is_asked_for():
    student = small_student(minmax_spec("8-8-8"))
    signed = build_onnx(student, OnnxSpec(form="fast"))
    model = build_onnx(student, OnnxSpec(form="fast", has_unsigned_weights=True))
    facts = json.loads({entry.key: entry.value for entry in model.metadata_props}["crqat"])
    assert "backbone.stage1.down.conv" in facts["wide_layers"]
    assert len(facts["wide_layers"]) == 54
    assert facts["wide_weights"] == "uint8"
    stored = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    layer, norm = student.backbone.stage1.down.conv, student.backbone.stage1.down.bn
    expected = layer.weight_quantizer.codes(layer.weight) * norm.weight.detach().sign()[:, None, None, None]
    raised = stored["backbone.stage1.down.conv.weight_codes"]
    assert raised.dtype == np.uint8
    assert np.array_equal(raised.astype(int) - 128, expected.numpy().astype(int))
    assert (stored["backbone.stage1.down.conv.weight_zero_point"] == 128).all()
    by_default = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in signed.graph.initializer}
    assert np.array_equal(by_default["backbone.stage1.down.conv.weight_codes"], expected.numpy().astype(np.int8))
    raise_weights(signed, facts["wide_layers"])
    changed = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in signed.graph.initializer}
    assert {name for name, values in stored.items() if not np.array_equal(values, changed[name])} == set()


def test_the_tensorrt_form_has_signed_bytes_without_zero_points():
    model = build_onnx(small_student(minmax_spec()), OnnxSpec(form="tensorrt"))
    kinds = {tensor.name: tensor.data_type for tensor in model.graph.initializer}
    assert not {onnx.TensorProto.INT4, onnx.TensorProto.UINT4, onnx.TensorProto.UINT8} & set(kinds.values())
    pairs = [node for node in model.graph.node if node.op_type == "QuantizeLinear"]
    assert len(pairs) > 40
    assert {node.input[2] for node in pairs} == {"scalar/int8/0"}
    assert kinds["backbone.stage1.down.conv.weight_codes"] == onnx.TensorProto.INT8


def test_auto_takes_the_form_that_fits():
    model = build_onnx(small_student(minmax_spec()), OnnxSpec())
    assert json.loads({entry.key: entry.value for entry in model.metadata_props}["crqat"])["form"] == "openvino"


def test_suppression_in_the_graph_keeps_what_torchvision_keeps():
    images, texts = small_inputs(2)
    spec = OnnxSpec(form="fp32", nms_max_detections=45, score_threshold=0.002)
    names = ["detection_images", "detection_labels", "detection_scores", "detection_boxes", "boxes", "scores"]
    got = ran(build_onnx(small_detector(2), spec), images, texts, names)
    assert (np.diff(got["detection_scores"]) <= 0).all()
    for image, label in np.ndindex(2, 5):
        boxes, scores = (torch.from_numpy(side) for side in (got["boxes"][image], got["scores"][image, :, label]))
        above = scores > 0.002
        kept = nms(boxes[above], scores[above], 0.7)[:45]
        mine = (got["detection_images"] == image) & (got["detection_labels"] == label)
        assert np.array_equal(got["detection_boxes"][mine], boxes[above][kept].numpy())


def test_writing_is_repeatable_and_reports_the_file(tmp_path):
    student = small_student(minmax_spec())
    reports = [write_onnx(tmp_path / name, student, OnnxSpec(form="openvino")) for name in ("a.onnx", "b.onnx")]
    assert reports[0].sha256 == reports[1].sha256
    assert reports[0].file_bytes == (tmp_path / "a.onnx").stat().st_size


@pytest.mark.parametrize(
    ("options", "bank", "text"),
    [
        ({"has_fixed_vocabulary": True}, None, "needs its text bank"),
        ({"image_size_px": (64, 70)}, None, r"multiples of 32 px; got \(64, 70\)"),
        ({}, TextBank(("a",), torch.zeros(1, 9), "t", False), "embeddings of 64 numbers; the text bank has 9"),
    ],
)
def test_wishes_that_do_not_fit_are_refused(options, bank, text):
    with pytest.raises(ValueError, match=text):
        build_onnx(small_detector(), OnnxSpec(form="fp32", **options), bank)


def test_a_block_without_emitter_is_named():
    detector = small_detector()
    detector.backbone.pooling = torch.nn.Hardtanh()
    with pytest.raises(ValueError, match=r"No ONNX emitter for Hardtanh \('backbone\.pooling'\)"):
        build_onnx(detector, OnnxSpec(form="fp32"))


def test_per_channel_activations_are_refused_with_the_way_out():
    spec = minmax_spec(granularity="Ch-Ch-H", deployment="simulation")
    with pytest.raises(ValueError, match="one step for its whole input"):
        build_onnx(small_student(spec), OnnxSpec(form="fast"))


def test_the_best_regions_come_in_fixed_shapes():
    detector = small_detector()
    images, texts = small_inputs(2)
    outputs = ["scores", "boxes", "top_scores", "top_labels", "top_boxes"]
    got = ran(build_onnx(detector, OnnxSpec(form="fp32", top_regions=5)), images, texts, outputs)
    best_BN = got["scores"].max(2)
    order_BT = np.argsort(-best_BN, axis=1, kind="stable")[:, :5]
    np.testing.assert_array_equal(got["top_scores"], np.take_along_axis(best_BN, order_BT, 1))
    np.testing.assert_array_equal(got["top_labels"], np.take_along_axis(got["scores"].argmax(2), order_BT, 1))
    np.testing.assert_array_equal(got["top_boxes"], np.take_along_axis(got["boxes"], order_BT[:, :, None], 1))
    all_of_them = ran(build_onnx(detector, OnnxSpec(form="fp32", top_regions=99_999)), images, texts, ["top_scores"])
    assert all_of_them["top_scores"].shape == best_BN.shape


@pytest.mark.parametrize("form", ["fast", "fp32"])
def test_another_opset_gives_the_same_numbers(form):
    student = small_student(minmax_spec(pre_activation_bits=8))
    images, texts = small_inputs()
    expected = ran(build_onnx(student, OnnxSpec(form=form)), images, texts)
    for opset in (18, 20, 23):
        model = build_onnx(student, OnnxSpec(form=form, opset=opset))
        assert model.opset_import[0].version == opset
        got = ran(model, images, texts)
        for name in OUTPUTS:
            np.testing.assert_array_equal(got[name], expected[name])


def test_an_opset_without_4_bit_types_is_refused_for_the_form_that_states_them():
    student = small_student(minmax_spec())
    with pytest.raises(ValueError, match=r"form 'spec' needs opset 21.*got 18"):
        build_onnx(student, OnnxSpec(form="spec", opset=18))
    with pytest.raises(ValueError, match="names in the file"):
        build_onnx(student, OnnxSpec(has_fixed_vocabulary=True, has_text_bank=False))
