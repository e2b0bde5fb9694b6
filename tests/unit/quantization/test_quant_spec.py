from __future__ import annotations

import pytest
from pydantic import ValidationError

from crqat_pipeline.quantization import QuantSpec
from crqat_pipeline.quantization.granularity import count_steps


def test_parse_reads_the_notation_of_the_paper():
    spec = QuantSpec.parse("4-4-8", granularity="Ch-T-H")
    assert (spec.weight_bits, spec.activation_bits, spec.attention_bits) == (4, 4, 8)
    assert (spec.weight_granularity, spec.activation_granularity, spec.attention_granularity) == ("Ch", "T", "H")
    assert (spec.weight_symmetric, spec.activation_symmetric, spec.attention_symmetric) == (True, False, False)
    assert spec.notation == "4-4-8 Ch-T-H"
    assert QuantSpec.model_validate(spec.model_dump()) == spec
    assert QuantSpec.parse("none-32-FP").notation == "none-none-none Ch-T-H"


@pytest.mark.parametrize(
    ("bits", "granularity", "options", "text"),
    [
        ("4-9-8", "Ch-T-H", {}, r"2 to 8, or none for full precision; got 9"),
        ("1-4-8", "Ch-T-H", {}, r"got 1\."),
        ("4-4", "Ch-T-H", {}, r"three fields.*got '4-4'.*'4-4-8'"),
        ("4-x-8", "Ch-T-H", {}, r"whole numbers or 'none'; got 'x'"),
        ("4-4-8", "Ch-Q-H", {}, r"Unknown granularity 'Q'.*'G<n>'"),
        ("4-4-8", "H-T-H", {}, r"attention operands only; got H-T-H"),
        ("4-none-8", "Ch-T-H", {}, r"weights and activations quantized together; got weight_bits=4.*simulation"),
        ("none-4-8", "Ch-T-H", {}, r"activation_bits=4.*deployment='simulation'"),
        ("4-4-8", "Ch-Ch-H", {}, r"step per input channel.*'Ch'.*Use 'T'"),
        ("none-none-8", "Ch-T-H", {"pre_activation_bits": 8}, r"pre_activation_bits=8 without activation_bits"),
        ("4-4-8", "Ch-T-H", {"kernel": "native", "gradient_mask": "strict"}, r"native kernel.*kernel='eager'"),
        ("4-4-8", "Ch-T-H", {"kernel": "native", "activation_quantizer": "pact"}, r"no PACT gradient"),
        ("4-4-8", "Ch-T-H", {"weigth_bits": 4}, r"weigth_bits"),
    ],
)
def test_bad_configuration_is_refused_with_value_and_way_out(bits, granularity, options, text):
    with pytest.raises((ValueError, ValidationError), match=text):
        QuantSpec.parse(bits, granularity, **options)


def test_simulation_allows_what_integers_cannot_execute():
    spec = QuantSpec.parse("3-3-8", "Ch-Ch-H", deployment="simulation")
    assert spec.activation_granularity == "Ch"
    assert QuantSpec.parse("4-none-8", deployment="simulation").activation_bits is None


def test_count_steps():
    assert [count_steps(g, 12, "x") for g in ("T", "Ch", "H", "G4")] == [1, 12, 12, 4]
    with pytest.raises(ValueError, match=r"got 5 groups on 7 channels of backbone\.conv.*one of 1, 7 groups"):
        count_steps("G5", 7, "backbone.conv")


def test_a_record_of_an_earlier_version_is_read_and_its_unused_field_is_no_parameter():
    spec = QuantSpec.parse("4-4-8")
    assert QuantSpec.model_validate(spec.model_dump(mode="json") | {"calibration_images": 256}) == spec
    with pytest.raises(ValueError, match="calibration_images"):
        QuantSpec.parse("4-4-8", calibration_images=16)
