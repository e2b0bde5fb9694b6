"""The diagnostics of a student, and the AP of groups of its quantizers, on a few images of the embedded benchmark."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from crqat_pipeline.detection_data.annotated_vocabulary import vocabulary_from_annotations
from crqat_pipeline.detection_data.image_folder import ImageFolder
from crqat_pipeline.detection_data.image_writer import write_images
from crqat_pipeline.detection_data.loader_spec import LoaderSpec
from crqat_pipeline.detection_data.open_shapes import WORDS, OpenShapesSpec, draw_layout
from crqat_pipeline.detection_data.prepared_split import prepare_split
from crqat_pipeline.model_files.rebuilding import to_checkpoint
from crqat_pipeline.recipes.gathered import Benchmark
from crqat_pipeline.recipes.group_run import group_figures
from crqat_pipeline.recipes.inspecting import inspect_student
from crqat_pipeline.recipes.qat import post_training_quantization
from crqat_pipeline.recipes.specs import DiagnosticsSpec, EvaluationSpec, NamedBuilderSpec, PtqSpec, RunSpec
from crqat_pipeline.structures.checkpoint import Checkpoint
from crqat_pipeline.text_encoders.composed import ComposedTextEncoder
from crqat_pipeline.text_encoders.vocabulary_bank import bank_of_names
from tests.support.small_students import NAME, minmax_spec, small_detector

RUN = RunSpec(seed=0, device="cpu")
SIZE_PX = 64


@dataclass(frozen=True)
class Scene:
    data: Benchmark
    student: Checkpoint


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    folder = tmp_path_factory.mktemp("images")
    sizes = OpenShapesSpec(num_train_images=1, num_val_images=6, num_tune_images=1, num_qat_images=1)
    layout = draw_layout(sizes)
    rendered = layout.rendered("val")
    write_images(folder, rendered.names, rendered.render, 1, fingerprint=rendered.fingerprint)
    vocabulary = vocabulary_from_annotations(layout.annotations["val"])
    bank = bank_of_names(ComposedTextEncoder(WORDS, 64, 0), vocabulary)
    split = prepare_split(layout.annotations["val"])
    data = Benchmark(split, ImageFolder(folder), vocabulary, bank, layout.annotations["val"])
    row = NamedBuilderSpec(name=NAME, options={"version": 2})
    teacher = to_checkpoint(small_detector().state_dict(), row, None, ())
    student = post_training_quantization(teacher, data, minmax_spec("3-3-8"), RUN, PtqSpec(image_size_px=SIZE_PX))
    return Scene(data, student)


def test_every_quantizer_and_group_has_its_movement(scene: Scene) -> None:
    loader = LoaderSpec(image_size_px=SIZE_PX, batch_size=4)
    found = inspect_student(scene.student, scene.data, loader, DiagnosticsSpec(images=1), RUN)
    assert all(row["movement"] >= 0 for row in found.layers)
    groups = {row["group"]: row for row in found.groups}
    assert groups["everything"]["quantizers"] == len(found.layers)
    assert groups["backbone.stage1"]["kind"] == "block"
    assert found.metrics["movement"] == groups["everything"]["movement"]
    assert found.metrics["largest_movement"] == max(row["movement"] for row in found.layers)
    assert 1 <= found.metrics["sqnr_rank_of_largest_movement"] <= len(found.layers)
    assert -1 <= found.metrics["sqnr_movement_correlation"] <= 1


def test_groups_are_scored_on_the_first_images_and_taken_the_next_time(scene: Scene, tmp_path: Path) -> None:
    spec = EvaluationSpec(image_size_px=SIZE_PX, backend="fast", group_images=2, max_detections=10)
    rows = group_figures({"ptq": scene.student}, scene.data, spec, RUN, tmp_path)
    assert [row["group"] for row in rows[:5]] == ["nothing", "everything", "backbone", "neck", "head"]
    assert {row["images"] for row in rows} == {2}
    assert {row["kind"] for row in rows} == {"whole", "part", "block", "tensor"}
    assert all(0 <= row["AP"] <= row["AP50"] <= 1 for row in rows)
    assert group_figures({"ptq": scene.student}, scene.data, spec, RUN, tmp_path) == rows


def test_nothing_is_measured_for_no_images_or_a_graph(scene: Scene, tmp_path: Path) -> None:
    spec = EvaluationSpec(image_size_px=SIZE_PX, group_images=0)
    assert group_figures({"ptq": scene.student}, scene.data, spec, RUN, tmp_path) == []
    graph = tmp_path / "student.onnx"
    graph.write_bytes(b"a graph")
    asked = spec.model_copy(update={"group_images": 1})
    assert group_figures({"onnx": graph}, scene.data, asked, RUN, tmp_path) == []
