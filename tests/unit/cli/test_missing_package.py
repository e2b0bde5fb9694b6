"""A command that needs what the light installation leaves out says which extra brings it."""

import pytest

from crqat_pipeline.cli.missing_package import way_out

REQUIREMENTS = [
    "click>=8.1",
    "kedro<2,>=1.7; extra == 'run'",
    'faster-coco-eval>=1.8; extra == "run"',
    "fsspec[http]>=2025.3; extra == 'run'",
    "open_clip_torch>=3.3; extra == 'clip'",
    "opencv-python>=4.10; extra == 'video'",
]


@pytest.mark.parametrize(
    ("module", "extra"),
    [
        ("kedro.framework", "run"),
        ("faster_coco_eval", "run"),
        ("fsspec", "run"),
        ("open_clip", "clip"),
        ("cv2", "video"),
    ],
)
def test_the_extra_is_named(module, extra):
    said = way_out(ModuleNotFoundError(f"No module named {module!r}", name=module), REQUIREMENTS)
    assert said is not None
    assert f"'crqat-pipeline[{extra}]'" in said


@pytest.mark.parametrize("module", ["click", "crqat_pipeline.nothing", "", None])
def test_what_no_extra_brings_is_another_matter(module):
    assert way_out(ModuleNotFoundError("No module", name=module), REQUIREMENTS) is None
