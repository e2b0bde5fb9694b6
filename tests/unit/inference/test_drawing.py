import pytest
import torch
from PIL import Image, ImageChops

from crqat_pipeline.inference.drawing import draw_detections, prompt_color
from crqat_pipeline.structures.output import Detections


def one(box, label=0):
    return Detections(torch.tensor([box], dtype=torch.float32), torch.tensor([0.87]), torch.tensor([label]))


def test_the_frame_has_the_colour_of_its_prompt_and_the_original_stays():
    image = Image.new("RGB", (200, 160), "white")
    drawn = draw_detections(image, one([50, 60, 150, 140], label=1), ["cat", "red lamp"], 0)
    assert drawn.getpixel((150, 100)) == prompt_color(1)
    assert drawn.getpixel((100, 100)) == (255, 255, 255)
    assert image.getpixel((150, 100)) == (255, 255, 255)


@pytest.mark.parametrize("size", [(1, 1), (40, 3), (100, 100), (3000, 2000)])
@pytest.mark.parametrize("box", [[0.0, 0.0, 1.0, 1.0], [-5.0, -5.0, 5000.0, 5000.0], [30.0, 2.0, 20.0, 1.0]])
def test_odd_sizes_and_boxes_are_drawn(size, box):
    image = Image.new("RGB", size, "white")
    drawn = draw_detections(image, one(box), ["a rather long prompt, longer than the picture is wide"], 0)
    assert drawn.size == size
    assert ImageChops.difference(drawn, image).getbbox() is not None


def test_nothing_found_draws_nothing():
    image = Image.new("L", (20, 20), 9)
    empty = Detections(torch.zeros(0, 4), torch.zeros(0), torch.zeros(0, dtype=torch.int64))
    assert draw_detections(image, empty, ["cat"], 0).getpixel((3, 3)) == (9, 9, 9)


def test_labels_stay_inside_the_picture():
    image = Image.new("RGB", (300, 200), "white")
    drawn = draw_detections(image, one([280, 0, 299, 20]), ["lamp"], 0)
    changed = ImageChops.difference(drawn, image).getbbox()
    assert changed[2] <= 300
    assert changed[0] < 280


def test_first_prompts_have_clearly_different_colours():
    colors = [prompt_color(column) for column in range(12)]
    assert len(set(colors)) == 12
    assert all(max(color) - min(color) > 100 for color in colors)


@pytest.mark.parametrize(
    ("size", "factor"), [((128, 128), 4), ((100, 900), 5), ((479, 500), 2), ((480, 900), 1), ((1, 9), 8)]
)
def test_small_pictures_are_enlarged_by_a_whole_factor(size, factor):
    drawn = draw_detections(Image.new("RGB", size), one([0, 0, 1, 1]), ["cat"])
    assert drawn.size == (size[0] * factor, size[1] * factor)
