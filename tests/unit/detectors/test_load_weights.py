"""Both published formats and our own: round trips, refusals that leave the detector alone, hostile pickles."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from foreign_files import save_hostile, save_mmyolo, save_ultralytics
from safetensors.torch import load_file, save_file
from torch import nn

from crqat_pipeline.cli.weights import command
from crqat_pipeline.detectors import build_detector
from crqat_pipeline.detectors.weights import WeightsRefused

NAMES = {0: "person", 1: "traffic light"}


@pytest.fixture(params=[1, 2], ids=["v1", "v2"])
def source(request: pytest.FixtureRequest, enliven: Callable[..., nn.Module]) -> nn.Module:
    return enliven(build_detector("yolo_world_n", version=request.param), embedding_dim=512)


def _blank(like: nn.Module) -> nn.Module:
    return build_detector("yolo_world_n", version=like.spec.version).eval()


def _same(first: nn.Module, second: nn.Module, tolerance: float = 0.0) -> None:
    for key, value in first.state_dict().items():
        torch.testing.assert_close(second.state_dict()[key], value, rtol=tolerance, atol=tolerance, msg=key)


def test_mmyolo_round_trip(source: nn.Module, tmp_path: Path) -> None:
    save_mmyolo(tmp_path / "x.pth", source, source.spec.version)
    detector = _blank(source)
    report = detector.load_weights(tmp_path / "x.pth")
    _same(source, detector)
    assert report.what == f"yolo_world_n, version {source.spec.version}, 512-d text, mmyolo keys"
    assert set(report.loaded) == set(source.state_dict())
    assert report.skipped == (("backbone.text_model.model.text_projection.weight", "frozen text encoder"),)
    assert report.reshaped == ()


def test_ultralytics_round_trip(source: nn.Module, tmp_path: Path) -> None:
    save_ultralytics(tmp_path / "x.pt", source, source.spec.version, NAMES)
    detector = _blank(source)
    report = detector.load_weights(tmp_path / "x.pt")
    _same(source, detector, tolerance=1e-3)  # their files are half precision
    assert all(value.dtype == torch.float32 for value in detector.parameters())
    assert [row[1:] for row in report.reshaped] == [((1,), ())] * 3
    assert [reason for _, reason in report.skipped] == ["constant bin values"]


def test_the_command_describes_and_converts(source: nn.Module, tmp_path: Path) -> None:
    path, out = tmp_path / "x.pt", tmp_path / "x.safetensors"
    save_ultralytics(path, source, source.spec.version, NAMES)
    shown = CliRunner().invoke(command, [str(path), "--out", str(out)])
    assert shown.exit_code == 0, shown.output
    for words in (
        f"version {source.spec.version}",
        "yolo_world_n",
        "module tree",
        "prompts   2: person, traffic light",
    ):
        assert words in shown.output
    assert f"{sum(p.numel() for p in source.parameters()):,}" in shown.output
    detector = _blank(source)
    assert "crqat keys" in detector.load_weights(out).what
    again = _blank(source)
    again.load_weights(path)
    _same(again, detector)


def test_the_small_detector_reads_its_own_format(tmp_path: Path) -> None:
    first, second = build_detector("yolo_world_open_shapes"), build_detector("yolo_world_open_shapes")
    save_file(first.state_dict(), tmp_path / "t.safetensors")
    assert "yolo_world_open_shapes" in second.load_weights(tmp_path / "t.safetensors").what
    _same(first, second)


def test_a_scalar_bias_in_an_ultralytics_file_is_taken_too(source: nn.Module, tmp_path: Path) -> None:
    from crqat_pipeline.detectors.yolo_world.key_layouts import ULTRALYTICS
    from crqat_pipeline.detectors.yolo_world.loading import to_layout

    state = to_layout(source.state_dict(), ULTRALYTICS, source.spec.version)
    save_file(
        {key: value.squeeze() if ".cv4." in key else value for key, value in state.items()}, tmp_path / "u.safetensors"
    )
    detector = _blank(source)
    assert detector.load_weights(tmp_path / "u.safetensors").reshaped == ()
    _same(source, detector)


def _refused(detector: nn.Module, path: Path, words: str) -> None:
    before = {key: value.clone() for key, value in detector.state_dict().items()}
    with pytest.raises(WeightsRefused, match=words):
        detector.load_weights(path)
    assert all(torch.equal(value, before[key]) for key, value in detector.state_dict().items())


def test_files_that_do_not_fit_leave_the_detector_untouched(tmp_path: Path, source: nn.Module) -> None:
    version = source.spec.version
    path = tmp_path / "x.pth"
    save_mmyolo(path, source, version)
    other = build_detector("yolo_world_n", version=3 - version)
    _refused(other, path, rf"x.pth is yolo_world_n, version {version}.*this detector is version {3 - version}")
    _refused(build_detector("yolo_world_open_shapes", version=version), path, "Build yolo_world_n with version")

    state = source.state_dict()
    for name, change, words in (
        ("missing", {"neck.down_3.conv.weight": None}, "lacks neck.down_3.conv.weight"),
        ("surplus", {"neck.td_p3.gate.extra": torch.zeros(1)}, "has unknown neck.td_p3.gate.extra"),
        (
            "shape",
            {"neck.down_3.bn.bias": torch.zeros(3)},
            r"other shapes: neck.down_3.bn.bias \[3\] instead of \[64\]",
        ),
        ("plain", {"neck.td_p4.gate.guide.weight": None}, "no text gate"),
        ("stem", {"backbone.stem.conv.weight": None}, "is no YOLO-World file"),
    ):
        changed = {key: value for key, value in {**state, **change}.items() if value is not None}
        save_file(changed, tmp_path / f"{name}.safetensors")
        _refused(_blank(source), tmp_path / f"{name}.safetensors", words)


def test_folded_files_and_unknown_widths_are_named(tmp_path: Path, source: nn.Module) -> None:
    save_mmyolo(
        tmp_path / "folded.pth", source, source.spec.version,
        **{"bbox_head.head_module.cls_contrasts.0.conv.weight": torch.zeros(2, 2)},
    )  # fmt: skip
    _refused(_blank(source), tmp_path / "folded.pth", "folded for a fixed vocabulary")
    state = {**source.state_dict(), "backbone.stem.conv.weight": torch.zeros(96, 3, 3, 3)}
    save_file(state, tmp_path / "xl.safetensors")
    _refused(_blank(source), tmp_path / "xl.safetensors", r"no known size \(stem 96")


@pytest.mark.parametrize("is_bare", [False, True])
def test_a_pickle_that_would_run_a_command_is_refused_by_name(tmp_path: Path, is_bare: bool) -> None:
    trace = tmp_path / "trace"
    save_hostile(tmp_path / "evil.pt", os.system, f"touch {trace}", is_bare=is_bare)
    _refused(build_detector("yolo_world_open_shapes"), tmp_path / "evil.pt", r"evil.pt.*system \(os.system\)")
    assert not trace.exists()
    shown = CliRunner().invoke(command, [str(tmp_path / "evil.pt")])
    assert shown.exit_code == 1
    assert "os.system" in shown.output


@pytest.mark.parametrize("function", [eval, getattr, print, __import__, torch.load, torch.hub.load, exec])
def test_other_functions_are_refused_too(tmp_path: Path, function: Callable) -> None:
    save_hostile(tmp_path / "evil.pt", function, "1")
    _refused(build_detector("yolo_world_open_shapes"), tmp_path / "evil.pt", function.__name__)


def test_what_is_no_weight_file_is_said_plainly(tmp_path: Path) -> None:
    detector = build_detector("yolo_world_open_shapes")
    (tmp_path / "broken.safetensors").write_bytes(b"12345678{")
    _refused(detector, tmp_path / "broken.safetensors", "is not a whole safetensors file")
    (tmp_path / "broken.pt").write_bytes(b"nothing of use")
    _refused(detector, tmp_path / "broken.pt", "neither a zip nor a pickle")
    torch.save({"epoch": 3}, tmp_path / "empty.pt")
    _refused(detector, tmp_path / "empty.pt", "its entries are epoch")
    torch.save([1, 2], tmp_path / "list.pt")
    _refused(detector, tmp_path / "list.pt", "holds a list")
    with pytest.raises(FileNotFoundError, match="No weight file at"):
        detector.load_weights(tmp_path / "nowhere.pt")


def test_converting_needs_the_right_suffix(tmp_path: Path) -> None:
    shown = CliRunner().invoke(command, [str(tmp_path / "x.pt"), "--out", str(tmp_path / "x.pth")])
    assert shown.exit_code == 2
    assert "must end in .safetensors" in shown.output


def test_the_written_file_says_what_it_is(source: nn.Module, tmp_path: Path) -> None:
    from safetensors import safe_open

    save_mmyolo(tmp_path / "x.pth", source, source.spec.version)
    CliRunner().invoke(command, [str(tmp_path / "x.pth"), "--out", str(tmp_path / "o.safetensors")])
    with safe_open(tmp_path / "o.safetensors", "pt") as file:
        facts = json.loads(file.metadata()["crqat"])
    assert facts["format"] == "crqat-checkpoint"
    assert facts["detector"] == {
        "name": "yolo_world_n",
        "options": {"version": source.spec.version, "embedding_dim": 512},
    }
    assert facts["text_encoder"]["name"] == "open_clip"
    assert load_file(tmp_path / "o.safetensors").keys() == source.state_dict().keys()
