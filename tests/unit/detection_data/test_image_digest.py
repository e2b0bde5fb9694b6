"""Other pixels, another digest; a file that is not there is named."""

import pytest
from PIL import Image

from crqat_pipeline.detection_data import image_digest as module
from crqat_pipeline.detection_data.image_digest import image_digest
from crqat_pipeline.detection_data.image_folder import ImageFileError, ImageFolder

NAMES = [f"{number}.png" for number in range(5)]


@pytest.fixture
def images(tmp_path):
    for number, name in enumerate(NAMES):
        Image.new("RGB", (4, 4), (number, 0, 0)).save(tmp_path / name)
    return ImageFolder(tmp_path)


def test_one_pixel_and_the_order_count(images):
    before = image_digest(images, NAMES)
    assert image_digest(images, NAMES) == before
    assert image_digest(images, NAMES[::-1]) != before
    Image.new("RGB", (4, 4), (200, 0, 0)).save(images.root / NAMES[3])
    assert image_digest(images, NAMES) != before


def test_of_many_images_all_sizes_count_and_the_bytes_of_some(images, monkeypatch):
    monkeypatch.setattr(module, "READ_WHOLE", 2)
    before = image_digest(images, NAMES)  # the bytes of 0 and 3
    Image.new("RGB", (4, 4), (77, 0, 0)).save(images.root / NAMES[3])
    changed = image_digest(images, NAMES)
    (images.root / NAMES[1]).write_bytes(b"longer" * 100)
    assert len({before, changed, image_digest(images, NAMES)}) == 3


def test_an_image_that_is_not_there_is_named(images):
    with pytest.raises(ImageFileError, match=r"gone\.png"):
        image_digest(images, [*NAMES, "gone.png"])
