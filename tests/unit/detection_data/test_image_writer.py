import errno
import hashlib
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from crqat_pipeline.detection_data import ImageFileError, write_images
from crqat_pipeline.detection_data.open_shapes import OpenShapesSpec, render_file

SPEC = OpenShapesSpec(num_train_images=12)
NAMES = [f"{index:06d}.jpg" for index in range(12)]
RENDER = partial(render_file, SPEC, "train")


def contents(folder: Path) -> dict[str, str]:
    return {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in NAMES}


def test_two_processes_write_the_same_bytes_as_one(tmp_path: Path) -> None:
    assert write_images(tmp_path / "one", NAMES, RENDER, workers=1) == 12
    assert write_images(tmp_path / "two", NAMES, RENDER, workers=2) == 12
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


def test_only_missing_and_damaged_images_are_rendered_again(tmp_path: Path) -> None:
    write_images(tmp_path, NAMES, RENDER, workers=1)
    before = contents(tmp_path)
    assert write_images(tmp_path, NAMES, RENDER, workers=1) == 0
    (tmp_path / NAMES[3]).unlink()
    (tmp_path / NAMES[5]).write_bytes(b"damaged")
    assert write_images(tmp_path, NAMES, RENDER, workers=1) == 2
    assert contents(tmp_path) == before
    (tmp_path / "checksums.json").write_text("{")
    assert write_images(tmp_path, NAMES, RENDER, workers=1) == 12


def test_another_fingerprint_renders_all_again(tmp_path: Path) -> None:
    write_images(tmp_path, NAMES, RENDER, workers=1, fingerprint="a")
    assert write_images(tmp_path, NAMES, RENDER, workers=1, fingerprint="a") == 0
    assert write_images(tmp_path, NAMES, RENDER, workers=1, fingerprint="b") == 12


def test_an_interrupted_run_resumes(tmp_path: Path) -> None:
    def stops_at_seven(name: str) -> Image.Image:
        if name == NAMES[7]:
            raise KeyboardInterrupt
        return RENDER(name)

    with pytest.raises(KeyboardInterrupt):
        write_images(tmp_path, NAMES, stops_at_seven, workers=1)
    assert write_images(tmp_path, NAMES, RENDER, workers=1) == 5


def test_a_full_disk_is_reported_and_leaves_no_half_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_whole = Path.write_bytes

    def full(path: Path, content: bytes) -> int:
        if NAMES[2] in path.name:
            write_whole(path, content[:10])
            raise OSError(errno.ENOSPC, "No space left on device")
        return write_whole(path, content)

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match=r"Could not write .*000002\.jpg: No space left on device\. Free space"):
        write_images(tmp_path, NAMES, RENDER, workers=1)
    assert sorted(path.name for path in tmp_path.iterdir()) == [*NAMES[:2], "checksums.json"]
    monkeypatch.undo()
    assert write_images(tmp_path, NAMES, RENDER, workers=1) == 10


def test_png_is_lossless_and_other_formats_are_refused(tmp_path: Path) -> None:
    def render(name: str) -> Image.Image:
        return RENDER(NAMES[0])

    write_images(tmp_path, ["a.png"], render, workers=1)
    assert np.array_equal(Image.open(tmp_path / "a.png"), RENDER(NAMES[0]))
    with pytest.raises(ValueError, match=r"written as \.jpg or \.png"):
        write_images(tmp_path, ["a.gif"], render, workers=1)
    with pytest.raises(ImageFileError, match="does not stay inside"):
        write_images(tmp_path, ["../a.png"], render, workers=1)
