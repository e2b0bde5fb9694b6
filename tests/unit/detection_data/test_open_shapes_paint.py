import numpy as np
import pytest

from crqat_pipeline.detection_data.open_shapes.categories import CATEGORIES, COLOURS, SHAPES
from crqat_pipeline.detection_data.open_shapes.outlines import OUTLINES
from crqat_pipeline.detection_data.open_shapes.paint import paint_scene
from crqat_pipeline.detection_data.open_shapes.scene import SceneObject


def painted(*objects: SceneObject) -> np.ndarray:
    return np.asarray(paint_scene(objects, 96, 0.0, np.random.default_rng(3))).astype(int)


def category_id(name: str) -> int:
    return next(category.id for category in CATEGORIES if category.name == name)


@pytest.mark.parametrize("shape", SHAPES)
def test_outlines_fill_their_unit_box(shape: str) -> None:
    assert OUTLINES[shape].min(axis=0).tolist() == [0, 0]
    assert OUTLINES[shape].max(axis=0).tolist() == [1, 1]


@pytest.mark.parametrize("shape", SHAPES)
def test_paint_reaches_the_box_and_stays_inside_it(shape: str) -> None:
    item = SceneObject(category_id(f"plain red {shape}"), 20.0, 31.0, 40.0, 33.0)
    changed = (painted(item) != painted()).any(axis=2)
    rows, columns = np.flatnonzero(changed.any(axis=1)), np.flatnonzero(changed.any(axis=0))
    assert 31 <= rows[0] <= 32
    assert 62 <= rows[-1] <= 63
    assert 20 <= columns[0] <= 21
    assert 58 <= columns[-1] <= 59


@pytest.mark.parametrize("colour", COLOURS)
def test_a_plain_shape_has_its_colour(colour: str) -> None:
    item = SceneObject(category_id(f"plain {colour} square"), 10.0, 10.0, 50.0, 50.0)
    pixels = painted(item)[30:40, 30:40].reshape(-1, 3).mean(axis=0)
    distance = {name: np.abs(pixels - np.array(rgb)).sum() for name, rgb in COLOURS.items()}
    assert min(distance, key=distance.__getitem__) == colour


def test_textures_darken_a_share_of_the_shape() -> None:
    def dark_share(texture: str) -> float:
        item = SceneObject(category_id(f"{texture} cyan square"), 10.0, 10.0, 60.0, 60.0)
        return float((painted(item)[14:66, 14:66, 1] < 130).mean())

    assert dark_share("plain") == 0
    assert 0.4 < dark_share("striped") < 0.6
    assert 0.15 < dark_share("dotted") < 0.4


def test_a_ring_shows_the_background_through_its_hole() -> None:
    ring = SceneObject(category_id("plain blue ring"), 20.0, 20.0, 50.0, 50.0)
    assert np.array_equal(painted(ring)[43:47, 43:47], painted()[43:47, 43:47])
