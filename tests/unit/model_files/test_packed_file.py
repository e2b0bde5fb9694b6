import copy
import json
import struct

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from crqat_pipeline.model_files.packed import manifest, read_packed, write_packed
from crqat_pipeline.model_files.packed.header import FORMAT_VERSION
from crqat_pipeline.quantization import prepare
from crqat_pipeline.quantization.layers import QuantConv2d, QuantLinear
from crqat_pipeline.runtime.tensor_file import write_tensors
from crqat_pipeline.structures.vocabulary import TextBank
from tests.support.small_students import NAME, minmax_spec, small_detector, small_inputs, small_student

BANK = TextBank(("red lamp", "stray cat"), torch.randn(2, 64), "test", is_normalized=False)


def written(path, student, spec, version=2, **options):
    return write_packed(
        path, student, detector_name=NAME, detector_options={"version": version}, quantization=spec, **options
    )


@pytest.fixture(scope="module")
def packed_path(tmp_path_factory):
    path = tmp_path_factory.mktemp("packed") / "model.int4.safetensors"
    spec = minmax_spec(pre_activation_bits=8)
    written(path, small_student(spec), spec, text_bank=BANK, extra_metadata={"seed": 3})
    return path


@pytest.mark.parametrize(
    ("spec", "version", "parts"),
    [
        (minmax_spec(), 1, None),
        (minmax_spec(pre_activation_bits=8), 2, None),
        (minmax_spec(gate_exchange=True), 2, None),
        (minmax_spec(weight_symmetric=False), 2, None),
        (minmax_spec(narrow_weight_range=False, scale_parametrization="plain"), 2, None),
        (minmax_spec("8-5-none", granularity="T-T-T"), 2, None),
        (minmax_spec(widths={"backbone": 3, "neck": {"weight": 5}, "head": {"weight": 7, "activation": 6}}), 2, None),
        (minmax_spec(), 2, ("backbone",)),
    ],
)
def test_outputs_and_codes_come_back_bit_for_bit(tmp_path, spec, version, parts):
    student = small_student(spec, version, parts)
    written(tmp_path / "m.int4.safetensors", student, spec, version)
    rebuilt = read_packed(tmp_path / "m.int4.safetensors").build()
    images, texts = small_inputs(2)
    with torch.no_grad():
        expected, got = student(images, texts), rebuilt(images, texts)
    assert torch.equal(got.class_logits_BNK, expected.class_logits_BNK)
    assert torch.equal(got.boxes_BN4, expected.boxes_BN4)
    assert torch.equal(got.region_embeddings_BND, expected.region_embeddings_BND)
    num_layers = 0
    for layer, other in zip(student.modules(), rebuilt.modules(), strict=True):
        if isinstance(layer, QuantConv2d | QuantLinear) and layer.weight_quantizer.is_on:
            assert torch.equal(layer.weight_quantizer.codes(layer.weight), other.weight_quantizer.codes(other.weight))
            num_layers += 1
    assert num_layers == (22 if parts else 50 + 4 if version == 2 else 53 + 8)


def test_the_file_holds_exactly_what_the_manifest_declares(packed_path):
    entries = manifest(small_student(minmax_spec(pre_activation_bits=8)))
    with safe_open(packed_path, framework="pt") as file:
        names = set(file.keys())
        assert names - {"text_bank.embeddings"} == set(entries)
        for name, entry in entries.items():
            tensor = file.get_tensor(name)
            assert (tensor.dtype, tuple(tensor.shape)) == (entry.dtype, entry.shape)


def test_nibble_order_and_odd_rows(tmp_path):
    spec = minmax_spec()
    student = small_student(spec)
    written(tmp_path / "m.int4.safetensors", student, spec)
    layer = student.backbone.stage1.down.conv
    assert layer.weight[0].numel() == 16 * 9
    stored = read_packed(tmp_path / "m.int4.safetensors").tensors["backbone.stage1.down.conv.weight_codes"]
    codes = layer.weight_quantizer.codes(layer.weight).reshape(24, -1)
    assert stored.shape == (24, 72)
    low, high = stored[5, 3] & 0xF, stored[5, 3] >> 4
    assert [int(low), int(high)] == [int(code) % 16 for code in codes[5, 6:8]]


def test_a_small_detector_needs_at_most_052_bytes_per_weight_and_writes_the_same_bytes_twice(tmp_path):
    spec = minmax_spec()
    student = small_student(spec)
    first = written(tmp_path / "a.int4.safetensors", student, spec)
    second = written(tmp_path / "b.int4.safetensors", student, spec)
    assert first.sha256 == second.sha256
    assert first.bytes_per_packed_weight <= 0.52
    assert first.num_packed_weights == 2 * first.bytes_by_role["codes_4bit"]
    assert first.file_bytes == (tmp_path / "a.int4.safetensors").stat().st_size
    assert "codes_4bit" in str(first)


@pytest.mark.parametrize("bits", range(2, 9))
def test_a_code_takes_its_own_bits(tmp_path, bits):
    spec = minmax_spec(f"{bits}-8-8")
    report = written(tmp_path / "m.int4.safetensors", small_student(spec), spec)
    codes = {role: size for role, size in report.bytes_by_role.items() if role.startswith("codes_")}
    assert list(codes) == [f"codes_{bits}bit"]
    num_weights = report.num_packed_weights or codes["codes_8bit"]
    assert num_weights * bits / 8 <= codes[f"codes_{bits}bit"] <= num_weights * bits / 8 * 1.001


def test_nibbles_of_version_1_are_read(tmp_path):
    """3 bits in nibbles, as files of before have them."""
    spec = minmax_spec("3-4-8")
    student = small_student(spec)
    written(tmp_path / "new.int4.safetensors", student, spec)
    nibbles = {name: entry.get() for name, entry in manifest(student, version=1).items()}
    with safe_open(tmp_path / "new.int4.safetensors", framework="pt") as file:
        facts = json.loads(file.metadata()["crqat"]) | {"format_version": 1}
    write_tensors(tmp_path / "old.int4.safetensors", nibbles, facts)
    old, new = (read_packed(tmp_path / f"{name}.int4.safetensors").build() for name in ("old", "new"))
    for name, tensor in old.state_dict().items():
        assert torch.equal(tensor, new.state_dict()[name]), name


def test_the_text_bank_and_facts_come_back(packed_path):
    packed = read_packed(packed_path)
    assert packed.text_bank.prompts == BANK.prompts
    assert torch.equal(packed.text_bank.embeddings_KD, BANK.embeddings_KD)
    assert packed.metadata["extra"] == {"seed": 3}
    assert packed.metadata["quantized_parts"] == ["backbone", "neck", "head"]
    assert packed.metadata["layers"]["backbone.stage1.down.conv.weight_quantizer"] == {
        "bits": 4,
        "low": -7,
        "high": 7,
        "axis": 0,
    }


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"No packed model .*gone\.int4"):
        read_packed(tmp_path / "gone.int4.safetensors")


@pytest.mark.parametrize("kept", [0, 7, 100, 20000])
def test_a_truncated_file_is_refused(packed_path, tmp_path, kept):
    cut = tmp_path / "cut.int4.safetensors"
    cut.write_bytes(packed_path.read_bytes()[:kept])
    with pytest.raises(ValueError, match="not a whole safetensors file"):
        read_packed(cut)


@pytest.mark.parametrize("offset", [-1, -5000, -200000])
def test_one_altered_byte_is_noticed(packed_path, tmp_path, offset):
    content = bytearray(packed_path.read_bytes())
    content[offset] ^= 1
    altered = tmp_path / "altered.int4.safetensors"
    altered.write_bytes(content)
    with pytest.raises(ValueError, match="was altered"):
        read_packed(altered)


def rewritten(source, target, change):
    with safe_open(source, framework="pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        facts = json.loads(file.metadata()["crqat"])
    change(facts, tensors)
    save_file(tensors, target, metadata={"crqat": json.dumps(facts)})
    return target


def test_an_altered_header_is_noticed(packed_path, tmp_path):
    path = rewritten(packed_path, tmp_path / "m", lambda facts, _: facts["detector"].update(name="yolo_world_s"))
    with pytest.raises(ValueError, match="was altered"):
        read_packed(path)


def test_a_later_format_is_refused(packed_path, tmp_path):
    path = rewritten(packed_path, tmp_path / "m", lambda facts, _: facts.update(format_version=FORMAT_VERSION + 1))
    with pytest.raises(ValueError, match=r"format version 3; this program reads versions 1 to 2.*Update"):
        read_packed(path)


def test_other_safetensors_files_are_refused(tmp_path):
    save_file({"x": torch.zeros(2)}, tmp_path / "x.safetensors")
    with pytest.raises(ValueError, match="no packed model"):
        read_packed(tmp_path / "x.safetensors")


def test_a_file_that_claims_a_huge_header_is_refused(tmp_path):
    path = tmp_path / "x.safetensors"
    path.write_bytes(struct.pack("<Q", 2**60) + b"{}")
    with pytest.raises(ValueError, match="not a whole safetensors file"):
        read_packed(path)


def test_nothing_quantized_is_refused(tmp_path):
    spec = minmax_spec()
    detector = small_detector()
    prepare(detector, spec)
    with pytest.raises(ValueError, match="nothing to pack"):
        written(tmp_path / "m.int4.safetensors", detector, spec)
    assert list(tmp_path.iterdir()) == []


def test_non_finite_weights_are_refused(tmp_path):
    spec = minmax_spec()
    student = copy.deepcopy(small_student(spec))
    with torch.no_grad():
        student.head.contrasts[0].bias.fill_(float("nan"))
    with pytest.raises(ValueError, match=r"contrasts\.0\.bias.*NaN"):
        written(tmp_path / "m.int4.safetensors", student, spec)


def test_tensors_that_do_not_fit_the_detector_are_refused(packed_path):
    packed = read_packed(packed_path)
    del packed.tensors["head.contrasts.0.bias"]
    with pytest.raises(ValueError, match=r"missing \['head\.contrasts\.0\.bias'\]"):
        packed.build()
