"""Real model files, damaged where it hurts: refused with a ValueError that names the file, or read as they were.

Damage of the header and of tensors is signed again, so that the checksum is right and the schema has to notice.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file

from crqat_pipeline.detectors import build_detector
from crqat_pipeline.inference.model_file import open_model
from crqat_pipeline.model_files import (
    DetectorRow,
    read_checkpoint,
    read_text_bank,
    to_checkpoint,
    write_checkpoint,
    write_packed,
    write_text_bank,
)
from crqat_pipeline.runtime.tensor_file import open_tensors, write_tensors
from crqat_pipeline.structures.checkpoint import Checkpoint
from crqat_pipeline.structures.vocabulary import TextBank
from tests.support.small_students import NAME, minmax_spec, small_student

BANK = TextBank(("red lamp", "stray cat"), torch.full((2, 64), 0.125), "test", is_normalized=True)
ROW = DetectorRow(name=NAME, options={"version": 2})
FEW = settings(max_examples=8, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
DEEP: Any = []
for _ in range(500):
    DEEP = [DEEP]
PUT_IN = [
    None,
    [],
    {},
    "text",
    "os:system",
    -1,
    0,
    10**12,
    1.5,
    True,
    DEEP,
    ["x"],
    {"name": 3},
    {"name": "x", "options": 7},
]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    from crqat_pipeline.export.onnx import OnnxSpec, write_onnx

    folder = tmp_path_factory.mktemp("whole")
    paths = {name: folder / name for name in ("checkpoint.safetensors", "packed.safetensors", "graph.onnx", "bank")}
    spec = minmax_spec()
    student = small_student(spec)
    checkpoint = to_checkpoint(student.state_dict(), ROW, spec, tuple(student.parts), stage="test")
    write_checkpoint(paths["checkpoint.safetensors"], checkpoint)
    options = {"detector_name": NAME, "detector_options": ROW.options, "quantization": spec, "text_bank": BANK}
    write_packed(paths["packed.safetensors"], student, **options)
    detector = build_detector(NAME, version=2).eval()
    write_onnx(paths["graph.onnx"], detector, OnnxSpec(form="fp32"), text_bank=BANK)
    write_text_bank(paths["bank"], BANK)
    return paths


def refused_or_opened(path: Path) -> bool:
    """True where the file was refused; anything but a ValueError that names it goes on as a fault."""
    try:
        open_model(path)
    except ValueError as error:
        if path.name in str(error):
            return True
        raise
    return False


def damaged(document: Any, data: st.DataObject) -> Any:
    """A copy with one key, at any depth, taken out or replaced."""
    changed = deepcopy(document)
    place: Any = changed
    while True:
        key = data.draw(st.sampled_from(sorted(place) if isinstance(place, dict) else range(len(place))))
        inside = place[key]
        if not (isinstance(inside, dict | list) and inside) or data.draw(st.booleans()):
            break
        place = inside
    if data.draw(st.booleans()):
        del place[key]
    else:
        place[key] = data.draw(st.sampled_from(PUT_IN))
    return changed


@FEW
@given(data=st.data(), kind=st.sampled_from(["checkpoint.safetensors", "packed.safetensors"]))
def test_a_header_that_does_not_say_what_it_must(whole: dict[str, Path], data: st.DataObject, kind: str) -> None:
    tensors, header = open_tensors(whole[kind])
    path = whole[kind].with_name(f"damaged_{kind}")
    write_tensors(path, tensors, damaged({key: value for key, value in header.items() if key != "sha256"}, data))
    refused_or_opened(path)


TENSOR_DAMAGE: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "nan": lambda tensor: torch.full_like(tensor, float("nan")),
    "infinite": lambda tensor: torch.full_like(tensor, float("inf")),
    "whole numbers": lambda tensor: tensor.to(torch.int8),
    "another shape": lambda tensor: tensor.reshape(-1)[:0],
}


@FEW
@given(data=st.data(), kind=st.sampled_from(["checkpoint.safetensors", "packed.safetensors"]))
def test_numbers_that_cannot_be_right_are_refused_by_name(
    whole: dict[str, Path], data: st.DataObject, kind: str
) -> None:
    tensors, header = open_tensors(whole[kind])
    floats = sorted(name for name, tensor in tensors.items() if tensor.is_floating_point())
    name = data.draw(st.sampled_from(floats))
    how = data.draw(st.sampled_from([*TENSOR_DAMAGE, "missing"]))
    if how == "missing":
        del tensors[name]
    else:
        tensors[name] = TENSOR_DAMAGE[how](tensors[name])
    path = whole[kind].with_name(f"damaged_{kind}")
    write_tensors(path, tensors, header)
    with pytest.raises(ValueError, match="damaged_") as refusal:
        open_model(path)
    assert name in str(refusal.value) or name == "text_bank.embeddings"


@pytest.mark.parametrize("value", [0.0, -1.0])
def test_steps_of_a_packed_file_are_above_zero(whole: dict[str, Path], value: float) -> None:
    tensors, header = open_tensors(whole["packed.safetensors"])
    name = "backbone.stage1.down.conv.weight_quantizer.scale"
    tensors[name] = torch.full_like(tensors[name], value)
    path = whole["packed.safetensors"].with_name("steps.safetensors")
    write_tensors(path, tensors, header)
    with pytest.raises(ValueError, match=rf"above zero; tensor '{name}'"):
        open_model(path)


def test_codes_outside_their_range_are_refused(whole: dict[str, Path]) -> None:
    tensors, header = open_tensors(whole["packed.safetensors"])
    name = "backbone.stage1.down.conv.weight_codes"
    tensors[name] = torch.full_like(tensors[name], 0x88)  # -8 twice, which the narrow range leaves out
    path = whole["packed.safetensors"].with_name("codes.safetensors")
    write_tensors(path, tensors, header)
    with pytest.raises(ValueError, match=rf"Codes of '{name}' lie in \[-7, 7\]; the file has -8"):
        open_model(path)


@pytest.mark.parametrize(
    "options", [{"stage_channels": [10**6] * 4}, {"stem_channels": 10**12}, {"depths": [10**9] * 4}]
)
def test_a_detector_far_larger_than_the_file_is_refused_before_it_is_made(
    whole: dict[str, Path], options: dict[str, Any]
) -> None:
    tensors, header = open_tensors(whole["checkpoint.safetensors"])
    header["detector"]["options"] |= options
    path = whole["checkpoint.safetensors"].with_name("huge.safetensors")
    write_tensors(path, tensors, header)
    with pytest.raises(ValueError, match=r"huge\.safetensors.*cannot be built"):
        open_model(path)


@FEW
@given(data=st.data(), kind=st.sampled_from(["checkpoint.safetensors", "packed.safetensors", "graph.onnx", "bank"]))
def test_a_flipped_bit_and_a_cut_are_noticed(whole: dict[str, Path], data: st.DataObject, kind: str) -> None:
    content = bytearray(whole[kind].read_bytes())
    place = data.draw(st.integers(0, len(content) - 1))
    if data.draw(st.booleans()):
        content[place] ^= 1 << data.draw(st.integers(0, 7))
    else:
        content = content[:place]
    path = whole[kind].with_name(f"damaged_{kind}")
    path.write_bytes(content)
    with pytest.raises(ValueError, match="damaged_"):
        read_text_bank(path) if kind == "bank" else open_model(path)


@FEW
@given(data=st.data())
def test_metadata_of_a_graph_that_does_not_say_what_it_must(whole: dict[str, Path], data: st.DataObject) -> None:
    import onnx

    model = onnx.load(whole["graph.onnx"])
    facts = json.loads(model.metadata_props[0].value)
    del facts["sha256"], facts["taps"]  # a file of before; the tap names are many
    facts["taps"] = {}
    model.metadata_props[0].value = json.dumps(damaged(facts, data))
    path = whole["graph.onnx"].with_name("damaged_graph.onnx")
    onnx.save(model, path)
    refused_or_opened(path)


GRAPH_DAMAGE: dict[str, Callable[[Any], object]] = {
    "a tensor outside": lambda model: _outside(model.graph.initializer[0]),
    "a constant outside": lambda model: _outside(_constant(model)),
    "a constant of NaN": lambda model: _constant(model).float_data.append(float("nan")),
    "a graph in a node": lambda model: setattr(_body(model.graph.node[0]), "name", "x"),
    "a function": lambda model: setattr(_body(model.functions.add(name="f").node.add()), "name", "x"),
    "a sparse tensor": lambda model: model.graph.sparse_initializer.add(),
    "an operator of nobody": lambda model: setattr(model.graph.node[0], "op_type", "Foo"),
    "another input": lambda model: setattr(model.graph.input[0], "name", "x"),
}


def _outside(tensor: Any) -> None:
    tensor.ClearField("raw_data")
    tensor.data_location = 1
    tensor.external_data.add(key="location", value="../../etc/passwd")


def _body(node: Any) -> Any:
    return node.attribute.add(name="body", type=5).g


def _constant(model: Any) -> Any:
    node = model.graph.node.add(op_type="Constant", output=["extra"])
    return node.attribute.add(name="value", type=4).t


@pytest.mark.parametrize("kind", GRAPH_DAMAGE)
def test_a_graph_that_is_not_one_of_ours_is_refused_before_it_runs(whole: dict[str, Path], kind: str) -> None:
    import onnx

    model = onnx.load(whole["graph.onnx"])
    facts = json.loads(model.metadata_props[0].value)
    del facts["sha256"]
    model.metadata_props[0].value = json.dumps(facts)
    GRAPH_DAMAGE[kind](model)
    if kind == "a constant of NaN":
        model.graph.node[-1].attribute[0].t.data_type = 1
    path = whole["graph.onnx"].with_name("damaged_graph.onnx")
    path.write_bytes(model.SerializeToString())
    assert refused_or_opened(path)


def test_a_checkpoint_of_before_versions_and_checksums_is_read(whole: dict[str, Path], tmp_path: Path) -> None:
    from safetensors.torch import save_file

    path = whole["checkpoint.safetensors"]
    _, header = open_tensors(path)
    old = {key: value for key, value in header.items() if key not in ("format", "format_version", "sha256")}
    save_file(load_file(path), tmp_path / "old.safetensors", {"crqat": json.dumps(old)})
    assert read_checkpoint(tmp_path / "old.safetensors").metadata == read_checkpoint(path).metadata
    assert not refused_or_opened(tmp_path / "old.safetensors")


def test_variances_below_zero_are_refused(whole: dict[str, Path]) -> None:
    tensors, header = open_tensors(whole["checkpoint.safetensors"])
    name = "backbone.stage3.csp.exit.bn.running_var"
    tensors[name] = -tensors[name]
    path = whole["checkpoint.safetensors"].with_name("variances.safetensors")
    write_tensors(path, tensors, header)
    with pytest.raises(ValueError, match=rf"variances\.safetensors.*tensor '{name}' lie within 0 and"):
        open_model(path)


@pytest.mark.parametrize("value", [0.0, -1.0])
def test_steps_of_a_checkpoint_that_stores_them_plainly_are_above_zero(tmp_path: Path, value: float) -> None:
    spec = minmax_spec(scale_parametrization="plain")
    student = small_student(spec)
    tensors = dict(student.state_dict())
    name = "backbone.stage1.down.conv.weight_quantizer.step_G"
    tensors[name] = torch.full_like(tensors[name], value)
    path = tmp_path / "steps.safetensors"
    written = to_checkpoint(tensors, ROW, spec, tuple(student.parts))
    write_checkpoint(path, written)  # what training may lead to is written as what it stands for
    assert not refused_or_opened(path)
    write_checkpoint(path, Checkpoint(tensors, written.metadata))
    with pytest.raises(ValueError, match=rf"steps\.safetensors.*above zero; tensor '{name}'"):
        open_model(path)


def test_an_input_beyond_all_images_is_refused(whole: dict[str, Path]) -> None:
    from crqat_pipeline.inference import Predictor

    with pytest.raises(ValueError, match="at most 8192 px; got 32000000"):
        Predictor.load(whole["packed.safetensors"], image_size_px=32_000_000)


@pytest.mark.parametrize(
    ("is_normalized", "factor"), [(True, 0.0), (True, 2.0), (False, 0.0), (False, 1e9), (False, 1e-9)]
)
def test_a_text_bank_with_a_row_of_another_length_is_refused(
    whole: dict[str, Path], tmp_path: Path, is_normalized: bool, factor: float
) -> None:
    embeddings_KD = BANK.embeddings_KD.clone()
    embeddings_KD[1] *= factor
    bank = TextBank(BANK.prompts, embeddings_KD, "test", is_normalized=is_normalized)
    path = tmp_path / "bank.safetensors"
    write_text_bank(path, bank)
    with pytest.raises(ValueError, match=r"bank\.safetensors.*that of \('stray cat',\) in 'text_bank\.embeddings'"):
        read_text_bank(path)
    tensors, header = open_tensors(whole["packed.safetensors"])
    tensors["text_bank.embeddings"] = embeddings_KD
    header["text_bank"]["is_normalized"] = is_normalized
    write_tensors(path, tensors, header)
    with pytest.raises(ValueError, match=r"bank\.safetensors.*stray cat"):
        open_model(path)


def test_a_model_whose_answer_is_nan_says_so(tmp_path: Path) -> None:
    """Every number in the file is finite; what is computed with them is not."""
    from PIL import Image

    from crqat_pipeline.inference import Predictor

    detector = build_detector(NAME, version=2)
    tensors = {
        name: torch.full_like(one, 6e7) if "backbone" in name and one.is_floating_point() else one
        for name, one in detector.state_dict().items()
    }
    write_checkpoint(tmp_path / "huge.safetensors", to_checkpoint(tensors, ROW, None, ()))
    predictor = Predictor.load(tmp_path / "huge.safetensors", image_size_px=64)
    with pytest.raises(ValueError, match="The model gave NaN"):
        predictor.predict([Image.new("RGB", (64, 64), (90, 10, 200))], BANK)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e9])
def test_what_could_not_be_read_back_is_not_written(value: float) -> None:
    tensors = dict(build_detector(NAME, version=2).state_dict())
    name = "backbone.stage1.down.conv.weight"
    tensors[name] = torch.full_like(tensors[name], value)
    with pytest.raises(ValueError, match=f"tensor '{name}'"):
        to_checkpoint(tensors, ROW, None, ())


FINITE_DAMAGE: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "far too large": lambda tensor: tensor * 1e22 + 1e22,
    "one far too large": lambda tensor: torch.where(
        torch.arange(tensor.numel()).reshape(tensor.shape) == 0, 1e22, tensor
    ),
    "far below zero": lambda tensor: -tensor.abs() * 1e22 - 1e22,
}


@FEW
@given(data=st.data(), kind=st.sampled_from(["checkpoint.safetensors", "packed.safetensors"]))
def test_finite_numbers_beyond_all_bounds_are_refused_by_name(
    whole: dict[str, Path], data: st.DataObject, kind: str
) -> None:
    tensors, header = open_tensors(whole[kind])
    floats = sorted(name for name, tensor in tensors.items() if tensor.is_floating_point())
    name = data.draw(st.sampled_from(floats))
    tensors[name] = FINITE_DAMAGE[data.draw(st.sampled_from(list(FINITE_DAMAGE)))](tensors[name])
    path = whole[kind].with_name(f"damaged_{kind}")
    write_tensors(path, tensors, header)
    with pytest.raises(ValueError, match="damaged_") as refusal:
        open_model(path)
    assert name in str(refusal.value)


LAYER = "backbone.stage3.down.conv"
STEPS_DAMAGE: dict[str, tuple[str, Callable[[torch.Tensor], torch.Tensor], str]] = {
    "a grid far wider than its weights": ("weight_quantizer.step_G", lambda step_G: step_G + 13.0, "end"),
    "one grid far wider": ("weight_quantizer.step_G", lambda step_G: torch.cat([step_G[:1] + 13.0, step_G[1:]]), "end"),
    "a grid far narrower than its weights": ("weight_quantizer.step_G", lambda step_G: step_G - 8.0, "end"),
    "a step beyond all numbers": ("weight_quantizer.step_G", lambda step_G: step_G + 60.0, "lie within"),
    "weights far beyond their grid": ("weight", lambda weight: weight * 5e4, "end"),
    "a zero point beside its codes": ("input_quantizer.zero_point_G", lambda zero_G: zero_G + 600.0, "lie within"),
    "a negative zero point": ("input_quantizer.zero_point_G", lambda zero_G: zero_G - 600.0, "lie within"),
    "an input grid beyond all activations": (
        "input_quantizer.step_G",
        lambda step_G: step_G + 27.0,
        "lie within|reach",
    ),
}


@pytest.mark.parametrize("kind", STEPS_DAMAGE)
def test_steps_that_do_not_belong_to_their_weights_are_refused_by_name(whole: dict[str, Path], kind: str) -> None:
    key, damage, text = STEPS_DAMAGE[kind]
    tensors, header = open_tensors(whole["checkpoint.safetensors"])
    name = f"{LAYER}.{key}"
    tensors[name] = damage(tensors[name])
    path = whole["checkpoint.safetensors"].with_name("steps.safetensors")
    write_tensors(path, tensors, header)
    with pytest.raises(ValueError, match=rf"steps\.safetensors.*{text}") as refusal:
        open_model(path)
    assert LAYER in str(refusal.value)


def test_layers_of_a_packed_file_agree_with_its_quantization(whole: dict[str, Path]) -> None:
    tensors, header = open_tensors(whole["packed.safetensors"])
    header["layers"][f"{LAYER}.weight_quantizer"]["bits"] = 5
    path = whole["packed.safetensors"].with_name("layers.safetensors")
    write_tensors(path, tensors, header)
    with pytest.raises(ValueError, match=rf"layers\.safetensors: the grid of '{LAYER}\.weight_quantizer'"):
        open_model(path)


@pytest.mark.parametrize("factor", [-1.0, 1e9])
def test_steps_of_a_graph_are_plausible(whole: dict[str, Path], factor: float) -> None:
    import onnx
    from onnx import numpy_helper

    model = onnx.load(whole["graph.onnx"])
    facts = json.loads(model.metadata_props[0].value)
    del facts["sha256"]
    model.metadata_props[0].value = json.dumps(facts)
    tensor = max(model.graph.initializer, key=lambda each: (each.data_type == 1) * len(each.raw_data))
    if factor > 0:
        tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor) * 1e9 + 1e13, tensor.name))
    path = whole["graph.onnx"].with_name("damaged_graph.onnx")
    onnx.save(model, path)
    assert refused_or_opened(path) == (factor > 0)
