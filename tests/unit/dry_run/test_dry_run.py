"""What a dry run finds: lengths, hours, missing things; that it builds every stage and changes nothing."""

from __future__ import annotations

import copy
import json

import pytest
import torch

from crqat_pipeline.detection_data import ImageFolder
from crqat_pipeline.detection_data.annotation_file import AnnotationFile
from crqat_pipeline.detection_data.open_shapes import OpenShapesSpec
from crqat_pipeline.detection_data.sources import SourceFolders, SourceMixture, SourceSpec
from crqat_pipeline.dry_run import DryRunSubject, InputEntry, examine
from crqat_pipeline.dry_run.findings import DryRunReport
from crqat_pipeline.dry_run.inputs import QatImages
from crqat_pipeline.dry_run.lengths import length_of, paper_seconds_per_image
from crqat_pipeline.dry_run.subject import SplitEntry
from crqat_pipeline.quantization import QuantSpec
from crqat_pipeline.recipes.specs import (
    DataPrepSpec,
    EvaluationSpec,
    FetchDataSpec,
    NamedBuilderSpec,
    QatStageSpec,
    RunSpec,
    TeacherSpec,
)
from crqat_pipeline.training.spec import OptimizationSpec
from tests.support.own_photographs import write_photographs
from tests.support.published_layouts import write_datasets

ROW = NamedBuilderSpec(name="yolo_world_open_shapes")


def stage(name="stage2", parts=("backbone", "neck", "head"), distillation=None, **optimization) -> QatStageSpec:
    return QatStageSpec.model_validate(
        {
            "name": name,
            "parts": parts,
            "loader": {"image_size_px": 64, "batch_size": 2, "num_prompts": 4},
            "optimization": {"learning_rate": 1e-4, "num_epochs": 1.0, **optimization},
            "distillation": distillation or {},
        }
    )


def subject(folder, **facts) -> DryRunSubject:
    return DryRunSubject(
        **{
            "title": "test",
            "data_root": folder / "data",
            "run": RunSpec(seed=0, device="cpu"),
            "detector": ROW,
            "quantization": QuantSpec.parse("4-4-8"),
            **facts,
        }
    )


def mixture(root) -> tuple[SourceMixture, SplitEntry]:
    o365 = {"annotations": root / "objects365v2/zhiyuan_objv2_train.json", "images": root / "objects365v2/train"}
    gqa = {"annotations": root / "gqa/final_mixed_train_no_coco.json", "images": root / "gqa/images"}
    one = SourceMixture({"o365": SourceSpec(layout="objects365", **o365), "gqa": SourceSpec(layout="grounding", **gqa)})
    folders = SourceFolders({name: spec.images for name, spec in one.sources.items()})
    return one, SplitEntry(lambda: one, lambda: folders)


def cells(report: DryRunReport, section: str) -> dict[str, dict[str, str]]:
    columns, *rows = report.sections[section]
    return {row[0]: dict(zip(columns, row, strict=True)) for row in rows}


def test_an_epoch_of_the_paper_is_the_papers_number_of_steps_and_hours():
    qat = QatImages(1_742_289 + 621_189, True)
    optimization = OptimizationSpec(num_epochs=1.0, learning_rate=1.5e-5, accumulation_steps=4)
    whole = length_of(optimization, 12, qat)
    parts = [length_of(optimization, 12, qat, window) for window in ((0, 1 / 3), (1 / 3, 1))]
    assert (whole.steps, [part.steps for part in parts]) == (49_240, [16_414, 32_827])
    large = NamedBuilderSpec(name="yolo_world_l", options={"version": 1})
    spec = stage().model_copy(
        update={"loader": stage().loader.model_copy(update={"image_size_px": 640, "num_prompts": 80})}
    )
    assert whole.images_seen * paper_seconds_per_image(large, spec) / 3600 == pytest.approx(95.2, abs=0.01)


def test_given_steps_need_no_images():
    optimization = OptimizationSpec(num_steps=7, learning_rate=1.0)
    assert length_of(optimization, 4, None).steps == 7
    assert length_of(OptimizationSpec(num_epochs=1, learning_rate=1.0), 4, None).steps is None


def test_the_embedded_benchmark_is_counted_built_and_ready(tmp_path):
    sizes = {"num_train_images": 6, "num_qat_images": 5, "num_val_images": 4}
    fetch = FetchDataSpec(source="open_shapes", open_shapes=OpenShapesSpec(**sizes))
    teacher = TeacherSpec.model_validate(
        {"loader": {"image_size_px": 64, "batch_size": 2}, "optimization": {"num_steps": 3, "learning_rate": 1e-3}}
    )
    stages = {
        "stage1": stage("stage1", ("backbone",), {"pkd": {"weight": 6.0}}, num_epochs=2.0),
        "stage2": stage(distillation={"pkd": {"weight": 6.0}, "trkd": {"weight": 6.0}}),
    }
    report = examine(subject(tmp_path, fetch_data=fetch, teacher=teacher, stages=stages))
    assert report.missing == []
    assert cells(report, "Data")["qat"]["images"] == "5"
    lengths = cells(report, "Training stages")
    assert [lengths[name]["steps"] for name in ("teacher", "stage1", "stage2")] == ["3", "5", "3"]
    assert lengths["stage2"]["speed"] == "measured"
    memory = cells(report, "Memory in GB (what one batch keeps for the backward pass; the allocator takes more)")
    assert memory["stage2"]["one made-up step gave"] == "loss_class, loss_box, loss_dfl, pkd, trkd"
    assert str(report).endswith("Ready: nothing is missing.")
    assert list(tmp_path.iterdir()) == []


def test_steps_too_long_to_be_timed_whole_are_timed_in_part_where_there_is_time(tmp_path, monkeypatch):
    for limit in ("WHOLE_STEP_MACS_G", "PART_MACS_G"):
        monkeypatch.setattr(f"crqat_pipeline.dry_run.time_budget.{limit}", 0.0)
    stages = {"first": stage(num_steps=4, num_epochs=None), "second": stage(num_steps=4, num_epochs=None)}
    told = [examine(subject(tmp_path, stages=stages), seconds) for seconds in (0.0, 600.0)]
    assert [{one["speed"] for one in cells(report, "Training stages").values()} for report in told] == [
        {"paper", ""},
        {"measured", ""},
    ]
    after = "crqat_pipeline.dry_run.time_budget.TimeBudget.spent"
    monkeypatch.setattr(after, lambda budget, seconds: setattr(budget, "seconds", 0.0))
    scaled = cells(examine(subject(tmp_path, stages=stages), 600.0), "Training stages")
    assert [scaled[name]["speed"] for name in stages] == ["measured", "compared"]
    assert float(scaled["second"]["CPU-hours"]) >= 0


def test_published_files_are_counted_by_source(tmp_path):
    _, split = mixture(write_datasets(tmp_path / "datasets"))
    report = examine(subject(tmp_path, splits={"qat": split}, stages={"stage2": stage()}))
    data = cells(report, "Data")
    assert (data["qat: o365"]["images"], data["qat: o365"]["boxes"]) == ("8", "9")
    assert data["qat: gqa"]["categories"] == "3"
    assert cells(report, "Training stages")["stage2"]["steps"] == "6"  # 12 images in batches of 2
    assert report.is_ready
    assert any("images known to be missing" in note for note in report.notes)


def test_files_that_are_not_there_are_estimated_and_listed(tmp_path):
    _, split = mixture(tmp_path / "nowhere")
    entry = InputEntry("qat_annotations", (tmp_path / "a.json",), ("nothing at a.json (o365)",))
    report = examine(subject(tmp_path, inputs=(entry,), splits={"qat": split}, stages={"s": stage()}))
    assert cells(report, "Data")["qat: o365"]["images"] == "~1,742,289"
    assert cells(report, "Training stages")["s"]["steps"] == "~1,181,739"
    assert report.missing == ["qat_annotations: nothing at a.json (o365)"]
    assert str(report).endswith("Not ready, 1 missing:\n  - qat_annotations: nothing at a.json (o365)")


def test_missing_weights_and_images_are_listed_and_the_detector_is_built_without(tmp_path):
    root = write_datasets(tmp_path / "datasets")
    (root / "gqa/images/2.jpg").unlink()
    _, split = mixture(root)
    teacher = TeacherSpec.model_validate(
        {
            "weights": str(tmp_path / "w.pth"),
            "loader": {},
            "optimization": {"num_steps": 3, "learning_rate": 1e-3},
        }
    )
    report = examine(subject(tmp_path, teacher=teacher, splits={"qat": split}))
    assert report.sections["Detector"][1][2] == "MISSING; built without weights"
    assert len(report.missing) == 2
    assert "1 of 12 image files looked at are not in SourceFolders" in report.missing[0]
    assert "w.pth is not on this machine (check the path)" in report.missing[1]


def test_bad_annotations_are_findings_not_crashes(tmp_path):
    def broken():
        raise ValueError("not JSON at line 3")

    report = examine(subject(tmp_path, splits={"val": SplitEntry(broken, lambda: ImageFolder(tmp_path))}))
    assert report.missing == ["val: not JSON at line 3"]


def test_a_stage_that_cannot_be_built_is_a_finding(tmp_path):
    report = examine(subject(tmp_path, stages={"s": stage(parts=("backbone", "tail"))}))
    assert len(report.missing) == 1
    assert report.missing[0].startswith("s: cannot be built: ")


def test_a_given_speed_counts_images(tmp_path):
    one = stage(num_epochs=None, num_steps=1800)
    report = examine(subject(tmp_path, stages={"s": one}, images_per_second=2.0))
    assert cells(report, "Training stages")["s"]["GPU-hours"] == "0.500"  # 3600 images at 2 per second


def test_the_random_state_of_the_caller_is_left_alone(tmp_path):
    before = torch.get_rng_state()
    examine(subject(tmp_path, stages={"s": stage()}))
    assert torch.equal(torch.get_rng_state(), before)


def own_files(folder, change=None, words=None):
    """A subject whose splits are a few drawn photographs, read as the run reads them."""
    photos = write_photographs(folder / "photos")
    content = json.loads((photos / "train.json").read_text(encoding="utf-8"))
    changed = copy.deepcopy(content)
    if change is not None:
        change(changed)
    images = ImageFolder(photos / "images")
    splits = {
        "train": SplitEntry(lambda: AnnotationFile(content, "train.json"), lambda: images),
        "qat": SplitEntry(lambda: AnnotationFile(content, "train.json"), lambda: images),
        "val": SplitEntry(lambda: AnnotationFile(changed, "val.json"), lambda: images),
    }
    encoder = {"name": "precomputed", "embeddings": photos / "words.npy", "names": words or photos / "words.json"}
    prep = {"text_encoder": "words", "text_encoders": {"words": encoder}}
    return subject(
        folder,
        splits=splits,
        fetch_data=FetchDataSpec(source="files"),
        data_prep=DataPrepSpec.model_validate(prep),
        evaluation=EvaluationSpec(image_size_px=64),
        stages={},
    )


def test_the_readers_of_the_whole_run_find_nothing_wrong(tmp_path):
    report = examine(own_files(tmp_path))
    assert report.missing == []


def test_what_training_and_scoring_would_stop_at_is_told_by_the_dry_run(tmp_path):
    def swap(content):
        content["categories"][0]["name"], content["categories"][1]["name"] = "stray cat", "red lamp"

    (fault,) = examine(own_files(tmp_path / "a", swap)).missing
    assert "category 1 is 'red lamp' here and 'stray cat' in val" in fault

    def one_bad(content):
        content["annotations"][0]["category_id"] = 77

    missing = "\n".join(examine(own_files(tmp_path / "b", one_bad)).missing)
    assert "is of category 77, which is not in 'categories'" in missing
    names = tmp_path / "other.json"
    names.write_text(json.dumps(["red lamp", "stray cat", "tin cans"]), encoding="utf-8")
    (word,) = examine(own_files(tmp_path / "c", words=names)).missing
    assert "'tin can' (nearest: 'tin cans'" in word
