import copy

import pytest
import torch

from crqat_pipeline.export.bias_alignment import align_biases
from crqat_pipeline.export.integer_weight import bias_unit, integer_weight
from crqat_pipeline.export.pre_activation import with_pre_activation
from crqat_pipeline.quantization.channel_affine import affine_of
from crqat_pipeline.quantization.parts import quantizers
from tests.support.small_students import NAME, minmax_spec, small_inputs, small_student

ROW = {"detector_name": NAME, "detector_options": {"version": 2}}


def test_the_copy_keeps_every_code_and_adds_eight_bit_outputs():
    spec = minmax_spec()
    student = small_student(spec)
    copied, new_spec = with_pre_activation(student, [small_inputs(2)], quantization=spec, **ROW)
    assert new_spec.pre_activation_bits == 8
    added = dict(quantizers(copied))
    for name, quantizer in quantizers(student):
        assert torch.equal(added.pop(name).scale, quantizer.scale)
    assert len(added) == 54
    assert all(quantizer.is_ready and quantizer.grid.bits == 8 for quantizer in added.values())
    assert torch.equal(copied.backbone.stage2.down.conv.weight, student.backbone.stage2.down.conv.weight)


def test_the_copy_stays_close_to_the_student():
    spec = minmax_spec()
    student = small_student(spec)
    copied, _ = with_pre_activation(student, [small_inputs(2)], quantization=spec, **ROW)
    images, texts = small_inputs(2)
    with torch.no_grad():
        difference = copied(images, texts).region_embeddings_BND - student(images, texts).region_embeddings_BND
        spread = student(images, texts).region_embeddings_BND.std()
    assert difference.abs().mean() < 0.2 * spread


def test_what_cannot_be_done_is_refused():
    with pytest.raises(ValueError, match="saw none"):
        with_pre_activation(small_student(minmax_spec()), [], quantization=minmax_spec(), **ROW)
    spec = minmax_spec(pre_activation_bits=8)
    with pytest.raises(ValueError, match="trained with 8-bit pre-activations"):
        with_pre_activation(small_student(spec), [small_inputs()], quantization=spec, **ROW)


@pytest.mark.parametrize("version", [1, 2])
def test_aligned_biases_are_whole_units_and_move_by_half_a_unit_at_most(version):
    student = copy.deepcopy(small_student(minmax_spec(pre_activation_bits=8), version))
    layer, norm = student.neck.td_p4.exit.conv, student.neck.td_p4.exit.bn
    unit = bias_unit(integer_weight(layer, affine_of(norm)), float(layer.input_quantizer.scale), 15)
    before = affine_of(norm).shift_C
    assert align_biases(student) == (53 if version == 1 else 50)
    after = affine_of(norm).shift_C
    steps = after / unit
    assert (steps - steps.round()).abs().max() < 2e-3
    assert ((after - before).abs() <= 0.501 * unit).all()
    assert unit.max() < norm.output_quantizer.scale / 4
    assert align_biases(student) > 0
    assert (affine_of(norm).shift_C - after).abs().max() < 1e-5


def test_students_without_pre_activation_keep_their_biases():
    student = copy.deepcopy(small_student(minmax_spec()))
    before = copy.deepcopy(student.state_dict())
    assert align_biases(student) == 0
    assert all(torch.equal(before[name], tensor) for name, tensor in student.state_dict().items())
