import numpy as np
import pytest
from PIL import Image

from crqat_pipeline.detection_data import LoaderSpec
from crqat_pipeline.detection_data.augmentation import flip, jitter_colours, random_scale_and_crop, scale_and_crop
from crqat_pipeline.detection_data.mosaic import make_mosaic
from crqat_pipeline.detection_data.sample import Sample


def block(width: int, height: int, box: tuple[int, int, int, int], category: int = 1) -> Sample:
    """A black image with a white block exactly inside the box."""
    pixels = np.zeros((height, width, 3), dtype=np.uint8)
    pixels[box[1] : box[3], box[0] : box[2]] = 255
    return Sample(Image.fromarray(pixels), np.array([box], dtype=np.float32), np.array([category]))


def white_box(sample: Sample) -> list[int]:
    white = np.asarray(sample.image)[:, :, 0] > 200
    rows, columns = np.flatnonzero(white.any(axis=1)), np.flatnonzero(white.any(axis=0))
    return [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]


def test_flip_moves_box_and_pixels_together() -> None:
    sample = block(64, 40, (5, 8, 20, 30))
    flipped = flip(sample, 1.0, np.random.default_rng(0))
    assert flipped.boxes_M4.tolist() == [[44, 8, 59, 30]] == [white_box(flipped)]
    twice = flip(flipped, 1.0, np.random.default_rng(0))
    assert np.array_equal(twice.image, sample.image)
    assert np.array_equal(twice.boxes_M4, sample.boxes_M4)
    assert flip(sample, 0.0, np.random.default_rng(0)) is sample


@pytest.mark.parametrize(("scale", "shift"), [(1.0, (0, 0)), (2.0, (4, -6)), (0.5, (-8, 10)), (1.0, (12, 3))])
def test_affine_moves_box_and_pixels_together(scale: float, shift: tuple[float, float]) -> None:
    moved = scale_and_crop(block(64, 64, (24, 20, 40, 36)), 64, scale, shift)
    assert np.abs(np.array(white_box(moved)) - moved.boxes_M4[0]).max() <= 1
    expected = [(value - 32) * scale + 32 + shift[i % 2] for i, value in enumerate((24, 20, 40, 36))]
    assert moved.boxes_M4[0].tolist() == pytest.approx(expected)


def test_the_identity_keeps_every_pixel() -> None:
    sample = block(64, 64, (24, 20, 40, 36))
    assert np.array_equal(scale_and_crop(sample, 64, 1.0, (0, 0)).image, sample.image)
    spec = LoaderSpec(image_size_px=64)
    assert np.array_equal(random_scale_and_crop(sample, spec, np.random.default_rng(0)).image, sample.image)


def test_uncovered_pixels_are_grey_and_lost_boxes_are_dropped() -> None:
    sample = block(64, 64, (0, 0, 20, 20))
    moved = scale_and_crop(sample, 64, 1.0, (-18.5, 0))
    assert len(moved.boxes_M4) == len(moved.category_ids_M) == 0
    assert (np.asarray(scale_and_crop(sample, 64, 0.5, (0, 0)).image)[:15] == 114).all()
    empty = Sample(sample.image, np.zeros((0, 4), dtype=np.float32), np.zeros(0, dtype=np.int64))
    assert scale_and_crop(empty, 64, 0.7, (3, 3)).boxes_M4.shape == (0, 4)


def test_colours_change_and_boxes_do_not() -> None:
    spec = LoaderSpec(use_photometric=True)
    pixels = np.random.default_rng(1).integers(0, 255, (32, 32, 3), dtype=np.uint8)
    sample = Sample(Image.fromarray(pixels), np.array([[1, 2, 3, 4]], dtype=np.float32), np.array([1]))
    jittered = jitter_colours(sample, spec, np.random.default_rng(0))
    assert jittered.image.mode == "RGB"
    assert not np.array_equal(jittered.image, sample.image)
    assert jittered.boxes_M4 is sample.boxes_M4
    again = jitter_colours(sample, spec, np.random.default_rng(0))
    assert np.array_equal(again.image, jittered.image)


@pytest.mark.parametrize("seed", range(4))
def test_mosaic_moves_boxes_with_their_images(seed: int) -> None:
    samples = [block(40, 64, (8, 8, 36, 60), 1), *(block(64, 48, (0, 0, 64, 48), n) for n in (2, 3, 4))]
    mosaic = make_mosaic(samples, 64, np.random.default_rng(seed))
    assert mosaic.image.size == (128, 128)
    pixels = np.asarray(mosaic.image)[:, :, 0]
    assert set(mosaic.category_ids_M.tolist()) <= {1, 2, 3, 4}
    for left, top, right, bottom in mosaic.boxes_M4.tolist():
        inside = pixels[int(np.ceil(top)) : int(bottom), int(np.ceil(left)) : int(right)]
        assert (inside == 255).all()
    area = (mosaic.boxes_M4[:, 2:] - mosaic.boxes_M4[:, :2]).prod(axis=1).sum()
    assert (pixels == 255).sum() == pytest.approx(area, abs=1)


def test_a_mosaic_has_four_samples() -> None:
    with pytest.raises(ValueError, match="exactly 4 samples; got 1"):
        make_mosaic([block(8, 8, (0, 0, 8, 8))], 64, np.random.default_rng(0))
