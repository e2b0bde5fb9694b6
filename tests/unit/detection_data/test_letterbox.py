import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from crqat_pipeline.detection_data.letterbox import letterbox, resize_area, resize_long_side

SIDE = st.integers(1, 90)


def noise(width: int, height: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8))


@settings(max_examples=60, deadline=None)
@given(width=SIDE, height=SIDE, size=st.sampled_from([32, 64, 96]))
def test_boxes_return_to_where_they_were(width: int, height: int, size: int) -> None:
    image, geometry = letterbox(noise(width, height), size)
    assert image.size == (size, size)
    boxes_M4 = np.array([[0, 0, width, height], [0.25 * width, 0.5 * height, 0.75 * width, height]], dtype=np.float32)
    there_M4 = geometry.to_input(boxes_M4)
    assert there_M4.min() >= 0
    assert there_M4.max() <= size
    back_M4 = geometry.to_original(torch.from_numpy(there_M4).double())
    assert torch.allclose(back_M4, torch.from_numpy(boxes_M4).double(), atol=1e-4)


def test_numbers_of_a_known_case() -> None:
    image, geometry = letterbox(Image.new("RGB", (500, 333), (9, 9, 9)), 320)
    assert (geometry.left, geometry.top) == (0, 53)
    assert geometry.scale_x == 320 / 500
    assert geometry.scale_y == 213 / 333
    pixels = np.asarray(image)
    assert (pixels[:53] == 114).all()
    assert (pixels[53:266] == 9).all()
    assert (pixels[266:] == 114).all()
    box = geometry.to_original(torch.tensor([[-5.0, 53.0, 320.0, 300.0]]))
    assert box.tolist() == [[0, 0, 500, 333]]


def test_area_averaging_by_hand() -> None:
    column = np.array([0, 30, 60, 90, 120], dtype=np.uint8)
    image = Image.fromarray(np.broadcast_to(column[:, None, None], (5, 3, 3)).copy())
    halves = np.asarray(resize_area(image, 3, 2))[:, 0, 0]
    assert halves.tolist() == [24, 96]  # (0 + 30 + 60/2) / 2.5 and (60/2 + 90 + 120) / 2.5


@settings(max_examples=30, deadline=None)
@given(width=st.integers(20, 90), height=st.integers(20, 90), new=st.integers(1, 19))
def test_area_averaging_keeps_the_mean(width: int, height: int, new: int) -> None:
    image = noise(width, height)
    assert np.asarray(resize_area(image, new, new)).mean() == pytest.approx(np.asarray(image).mean(), abs=1.0)


def test_an_image_that_fits_is_not_touched() -> None:
    image = noise(64, 64)
    assert np.array_equal(letterbox(image, 64)[0], image)
    assert resize_long_side(noise(64, 31), 64).size == (64, 31)


def test_small_images_are_enlarged() -> None:
    image, geometry = letterbox(Image.new("RGB", (10, 20), (200, 0, 0)), 64)
    assert (geometry.left, geometry.top, geometry.scale_x, geometry.scale_y) == (16, 0, 3.2, 3.2)
    assert (np.asarray(image)[:, 16:48, 0] == 200).all()
