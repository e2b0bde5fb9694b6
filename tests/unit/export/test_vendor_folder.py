"""A float graph and its ranges are the student again, by the graph and the ranges alone."""

import copy
import json
import struct
from dataclasses import replace

import pytest
import torch

from crqat_pipeline.export.bias_alignment import align_biases
from crqat_pipeline.export.vendor import VendorSpec, write_vendor
from crqat_pipeline.export.vendor.folder import CACHE, ENCODINGS, MODEL, RKNN
from crqat_pipeline.export.vendor.ranges import activations_of
from crqat_pipeline.export.vendor.requantize import requantized
from crqat_pipeline.structures.vocabulary import TextBank
from tests.support.small_students import minmax_spec, small_inputs, small_student

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")
SIDES = (64, 96)
IMAGES, TEXTS = small_inputs(1, SIDES)
BANK = TextBank(prompts=tuple("abcde"), embeddings_KD=TEXTS, encoder="drawn", is_normalized=False)
UNKNOWN_TO_VENDORS = {"Shape", "Expand", "ConstantOfShape", "CumSum", "Identity", "QuantizeLinear", "DequantizeLinear"}


def student(bits):
    aligned = copy.deepcopy(small_student(minmax_spec(bits, pre_activation_bits=8)))
    align_biases(aligned)
    return aligned


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """8-8-8, text folded in, the oldest opset."""
    place = tmp_path_factory.mktemp("vendor") / "phone"
    return write_vendor(place, student("8-8-8"), [IMAGES], VendorSpec(opset=12, image_size_px=SIDES), BANK)


def test_the_student_comes_back_from_the_graph_and_its_ranges_code_for_code(folder):
    assert folder.parity.num_codes > 100_000
    assert folder.parity.num_unexplained == 0
    assert folder.parity.largest_box_difference_px < 1e-3
    assert (folder.num_weights, folder.num_float_layers) == (50, 12)
    assert sorted(path.name for path in folder.path.iterdir()) == sorted((MODEL, ENCODINGS, CACHE, RKNN))


def test_gates_that_were_exchanged_come_behind_the_products(tmp_path):
    exchanged = copy.deepcopy(small_student(minmax_spec("8-8-8", pre_activation_bits=8, gate_exchange=True)))
    align_biases(exchanged)
    made = write_vendor(tmp_path / "phone", exchanged, [IMAGES], VendorSpec(opset=12, image_size_px=SIDES), BANK)
    assert made.parity.num_unexplained == 0
    assert made.parity.largest_box_difference_px < 1e-3


def test_the_graph_is_plain(folder):
    model = onnx.load(folder.path / MODEL)
    assert [(each.domain, each.version) for each in model.opset_import] == [("", 12)]
    assert not {node.op_type for node in model.graph.node} & UNKNOWN_TO_VENDORS
    shapes = {
        value.name: [dim.dim_value for dim in value.type.tensor_type.shape.dim]
        for value in (*model.graph.input, *model.graph.output)
    }
    assert shapes == {"images": [1, 3, *SIDES], "boxes": [1, 126, 4], "scores": [1, 126, 5]}
    onnxruntime.InferenceSession(str(folder.path / MODEL), providers=["CPUExecutionProvider"])


def test_every_range_is_that_of_a_clip_of_the_graph(folder):
    model = onnx.load(folder.path / MODEL)
    stored = {
        tensor.name: float(onnx.numpy_helper.to_array(tensor)) for tensor in model.graph.initializer if not tensor.dims
    }
    clips = {
        node.output[0]: [stored[name] for name in node.input[1:]] for node in model.graph.node if node.op_type == "Clip"
    }
    grids = activations_of(folder.path / ENCODINGS)
    assert set(grids) == set(clips)
    assert all(list(grid.ends) == clips[name] for name, grid in grids.items())


def test_other_tools_get_the_same_ranges_in_their_words(folder):
    grids = activations_of(folder.path / ENCODINGS)
    header, *lines = (folder.path / CACHE).read_text().splitlines()
    assert header.startswith("TRT-")
    steps = {
        name: struct.unpack(">f", bytes.fromhex(text))[0] for name, text in (line.rsplit(": ", 1) for line in lines)
    }
    assert set(steps) == set(grids)
    assert all(steps[name] == pytest.approx(max(map(abs, grid.ends)) / 127) for name, grid in grids.items())
    table = (folder.path / RKNN).read_text()
    assert table.count("qtype: asym") == len(grids)
    assert table.count("float16") == folder.num_float_layers


def test_four_bits_and_prompts_as_an_input(tmp_path):
    spec = VendorSpec(opset=18, image_size_px=SIDES, has_text_input=True)
    made = write_vendor(tmp_path / "npu", student("4-8-8"), [IMAGES], spec, BANK)
    assert made.parity.num_unexplained == 0
    model = onnx.load(tmp_path / "npu" / MODEL)
    assert {value.name for value in model.graph.input} == {"images", "text_embeddings"}
    entries = json.loads((tmp_path / "npu" / ENCODINGS).read_text())["param_encodings"]
    assert {row["bitwidth"] for rows in entries.values() for row in rows} == {4}


def test_ranges_of_another_graph_are_refused(folder, tmp_path):
    wrong = json.loads((folder.path / ENCODINGS).read_text())
    wrong["activation_encodings"]["elsewhere"] = next(iter(wrong["activation_encodings"].values()))
    (tmp_path / ENCODINGS).write_text(json.dumps(wrong))
    with pytest.raises(ValueError, match="does not have: \\['elsewhere'\\]"):
        requantized(folder.path / MODEL, tmp_path / ENCODINGS)


def test_a_vendor_graph_needs_an_opset_between_12_and_18():
    with pytest.raises(ValueError, match="opset"):
        VendorSpec(opset=11, image_size_px=SIDES)


def test_a_bank_of_another_encoder_is_refused_before_any_work(tmp_path):
    short = replace(BANK, embeddings_KD=torch.zeros(5, 3))
    with pytest.raises(ValueError, match="embeddings of 64 numbers"):
        write_vendor(tmp_path / "v", student("8-8-8"), [IMAGES], VendorSpec(image_size_px=SIDES), short)
    assert not (tmp_path / "v").exists()
