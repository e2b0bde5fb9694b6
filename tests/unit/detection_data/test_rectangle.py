import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from crqat_pipeline.detection_data.letterbox import letterbox
from crqat_pipeline.detection_data.rectangle import check_input, fit, fitted_size

SIDE = st.integers(1, 90)


def noise(width, height):
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8))


@settings(max_examples=40, deadline=None)
@given(width=SIDE, height=SIDE, input_px=st.sampled_from([(32, 64), (96, 32), (64, 64)]))
def test_boxes_return_to_where_they_were(width, height, input_px):
    image, geometry = fit(noise(width, height), input_px)
    assert image.size == input_px[::-1]
    boxes_M4 = np.array([[0, 0, width, height], [0.25 * width, 0.5 * height, 0.75 * width, height]], dtype=np.float32)
    there_M4 = geometry.to_input(boxes_M4)
    assert there_M4.min() >= 0
    assert (there_M4 <= np.array([*input_px[::-1]] * 2)).all()
    back_M4 = geometry.to_original(torch.from_numpy(there_M4).double())
    assert torch.allclose(back_M4, torch.from_numpy(boxes_M4).double(), atol=1e-4)


def test_a_square_is_the_letterbox_of_training():
    image = noise(50, 81)
    for size_px in (64, (64, 64)):
        fitted, geometry = fit(image, size_px)
        expected, expected_geometry = letterbox(image, 64)
        assert geometry == expected_geometry
        assert fitted.tobytes() == expected.tobytes()


@pytest.mark.parametrize(
    ("size", "input_px", "fitted"),
    [
        ((1920, 1080), (384, 640), (640, 360)),
        ((640, 384), (384, 640), (640, 384)),
        ((100, 400), (384, 640), (96, 384)),
        ((1000, 1), (384, 640), (640, 1)),
        ((64, 36), (384, 640), (640, 360)),
    ],
)
def test_the_side_that_binds_is_filled(size, input_px, fitted):
    assert fitted_size(size, input_px) == fitted


def test_both_sides_are_multiples():
    check_input((384, 640), 32)
    with pytest.raises(ValueError, match=r"multiple of 32 px; got 360\. Use 384"):
        check_input((360, 640), 32)
