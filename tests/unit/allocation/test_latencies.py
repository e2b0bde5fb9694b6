"""Tables of measured times: what is read, and what is refused."""

import pytest

from crqat_pipeline.allocation import AllocationSpec
from crqat_pipeline.allocation.latencies import check_layers, read_latencies

HEADER = "layer,weight_bits,activation_bits,milliseconds\n"


def table(tmp_path, text):
    path = tmp_path / "times.csv"
    path.write_text(text)
    return path


def test_times_are_found_by_layer_and_widths_and_a_layer_left_out_takes_none(tmp_path):
    read = read_latencies(table(tmp_path, HEADER + "stem,8,8,1.5\nstem,none,none,4\n"))
    assert (read.of("stem", 8, 8), read.of("stem", 32, 32), read.of("other", 4, 8)) == (1.5, 4.0, 0.0)
    with pytest.raises(ValueError, match=r"times of stem, but none at 4 bits of weight and 8"):
        read.of("stem", 4, 8)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("layer,ms\n", "needs the columns"),
        (HEADER, "holds no times"),
        (HEADER + "stem,9,8,1\n", r"line 2: widths are 2 to 8"),
        (HEADER + "stem,8,8,-1\n", "positive number"),
        (HEADER + "stem,8,8,nan\n", "positive number"),
        (HEADER + "stem,8,8,1\nstem,8,8,2\n", "line 3: stem at these widths is there twice"),
    ],
)
def test_a_table_that_cannot_be_right_is_refused_with_the_line(tmp_path, text, words):
    with pytest.raises(ValueError, match=words):
        read_latencies(table(tmp_path, text))


def test_a_layer_that_the_detector_does_not_have_is_named_with_the_nearest(tmp_path):
    read = read_latencies(table(tmp_path, HEADER + "backbone.stm,8,8,1\n"))
    with pytest.raises(
        ValueError, match=r"1 layers that this detector does not quantize: backbone\.stm.*backbone\.stem"
    ):
        check_layers(read, frozenset({"backbone.stem"}))


def test_a_budget_of_time_needs_a_table():
    with pytest.raises(ValueError, match="needs a table of measured latencies; got time_ms=3 alone"):
        AllocationSpec(budget={"time_ms": 3.0}, image_size_px=64, num_prompts=5)
