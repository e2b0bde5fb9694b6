"""Every environment loads, and writes where it should."""

from pathlib import Path

import pytest
from kedro.framework.project import pipelines

from crqat_pipeline.detection_data.published import missing_in, read_file_list
from crqat_pipeline.detectors import FAMILIES
from crqat_pipeline.own_data.files import is_made_here
from tests.support.dvc_agreement import load_catalog, stage_pipelines
from tests.support.foreign_package import put_on_path

PAPER_SCALE = ("yolo_world_m", "yolo_world_l", "yolo_world_x")
SMOKE = ("smoke", "omdet_smoke", "detectron2_smoke", "dosod_smoke", "photos_smoke")
DEVICES = {"phone": ("8-8-8", "int8"), "npu": ("4-8-8", "w4a8")}
ROOTS = {"base": "data", "local": "data"} | {
    env: f"data/{env}"
    for env in (
        *SMOKE,
        *DEVICES,
        "coco_mini",
        "exploration",
        "photos",
        "photos_confirmation",
        "omdet_turbo_tiny",
        *PAPER_SCALE,
    )
}
FAMILIES_OF_EXTRAS = {
    "omdet_smoke": "omdet_turbo", "omdet_turbo_tiny": "omdet_turbo", "detectron2_smoke": "detectron2_retinanet",
}  # fmt: skip
"""Environments whose detector needs packages that not everybody has."""
PARENTS = {"yolo_world"}
"""Folders that other environments extend; they are not run themselves."""
CELLS = {"matrix"}
"""Run by matrix/dvc.yaml, with parameters that name the cell (test_matrix_agrees.py)."""
OWN_FILES = {
    "train_images": "/photos",
    "train_annotations": "/photos.json",
    "val_images": "/val",
    "data_prep": {
        "text_encoders": {name: {"embeddings": "/e.npy", "names": "/n.json"} for name in ("coco_clip", "lvis_clip")}
    },
}
"""As --params gives them; three of five inputs."""
STAGES = {
    "fetch_data",
    "data_prep",
    "teacher",
    "baselines",
    "stage1_backbone",
    "stage2_neck_head",
    "int4_export",
    "evaluation",
}


def test_every_environment_is_tested(project):
    folders = {
        folder.name for folder in (project / "conf").iterdir() if folder.is_dir() and not is_made_here(folder)
    }  # those of crqat new are somebody's own
    assert folders == set(ROOTS) | PARENTS | CELLS


@pytest.mark.parametrize("env", sorted(ROOTS))
def test_parameters_fit_the_specs_and_files_lie_under_the_data_root(project, env, tmp_path, monkeypatch):
    missing = FAMILIES[FAMILIES_OF_EXTRAS[env]].missing_modules if env in FAMILIES_OF_EXTRAS else ()
    if missing:
        pytest.skip(f"the detector of {env} needs {' and '.join(missing)}, not installed here")
    put_on_path(project / "examples" / "nanodet", tmp_path / "site", monkeypatch)  # the detector of `photos`
    catalog = load_catalog(project, env, OWN_FILES if env == "coco_mini" else {})
    for name in sorted(pipelines["crqat_full"].datasets()):
        dataset = catalog.get(name)
        path = getattr(dataset, "_filepath", None)
        is_given = getattr(dataset, "given", False)
        if path is not None and not is_given:
            assert str(path).startswith(f"{project / ROOTS[env]}/0"), name


def test_the_pipelines_are_the_stages_and_their_sum(project):
    load_catalog(project)
    assert set(stage_pipelines()) == STAGES
    assert set(pipelines) == STAGES | {
        "bit_allocation",
        "ptq",
        "study",
        "vocabulary_kd",
        "curriculum",
        "crqat_full",
        "__default__",
    }
    assert pipelines["__default__"].nodes == pipelines["crqat_full"].nodes
    assert sum(len(each.nodes) for each in stage_pipelines().values()) == len(pipelines["crqat_full"].nodes)


def test_nodes_belong_to_the_stage_of_their_pipeline(project):
    load_catalog(project)
    for name, pipeline in stage_pipelines().items():
        assert {node.namespace.split(".")[0] for node in pipeline.nodes} == {name}


def test_coco_mini_names_the_users_files_by_params(project):
    catalog = load_catalog(project, "coco_mini", OWN_FILES)
    assert str(catalog.get("qat_images").path) == "/photos"
    assert str(catalog.get("qat_annotations").path) == "/photos.json"
    assert not catalog.get("val_annotations").is_named


def test_the_environment_of_photographs_takes_another_detector_and_folder_by_parameters(project):
    other = {"photos": "/elsewhere", "detector": {"name": "yolo_world_s"}, "teacher": {"weights": "yolo_world_s.pth"}}
    catalog = load_catalog(project, "photos", other)
    assert (catalog.load("params:detector").name, catalog.load("params:detector").options) == ("yolo_world_s", {})
    assert catalog.load("params:teacher").weights == "yolo_world_s.pth"
    given = [name for name in pipelines["crqat_full"].datasets() if getattr(catalog.get(name), "given", False)]
    assert len(given) == 7
    assert all(catalog.get(name).path.as_posix().startswith("/elsewhere") for name in given)
    encoders = catalog.load("params:data_prep").text_encoders
    assert {encoders[name].embeddings.as_posix() for name in ("coco_clip", "lvis_clip")} == {
        "/elsewhere/text/coco_clip_vit_b32.npy",
        "/elsewhere/text/lvis_v1_clip_vit_b32.npy",
    }


def test_the_environment_of_photographs_fetches_all_that_it_reads(project, tmp_path, monkeypatch):
    put_on_path(project / "examples" / "nanodet", tmp_path / "site", monkeypatch)
    monkeypatch.chdir(project)
    catalog = load_catalog(project, "photos")
    published = catalog.load("params:fetch_data").published
    files = read_file_list(project / published.files)
    given = [name for name in pipelines["crqat_full"].datasets() if getattr(catalog.get(name), "given", False)]
    encoders = catalog.load("params:data_prep").text_encoders
    read = [catalog.get(name).path for name in given]
    read += [path for name in ("coco_clip", "lvis_clip") for path in (encoders[name].embeddings, encoders[name].names)]
    read.append(Path(catalog.load("params:teacher").weights))
    assert published.is_fetched
    assert [path for path in read if not files.promises(path, published.folder)] == []
    own = load_catalog(project, "photos", {"photos": "/elsewhere"}).load("params:fetch_data").published
    assert (own.given, own.is_fetched) == (Path("/elsewhere"), False)


def test_the_listed_digests_are_those_of_the_files(project):
    data = project.parent / "shared" / "data"
    if not data.is_dir():
        pytest.skip("no ../shared/data beside the repository")
    files = read_file_list(project / "conf" / "photos" / "published_files.json")
    absent = [file.path for _, file in missing_in(files, data).files]
    assert absent == ["downloads/annotations_trainval2017.zip"], "that is what annotations would be made of"


@pytest.mark.parametrize("env", PAPER_SCALE)
def test_paper_scale_is_the_recipe_of_the_paper(project, env):
    catalog = load_catalog(project, env)
    detector, teacher = catalog.load("params:detector"), catalog.load("params:teacher")
    assert (detector.name, detector.options["version"]) == (env, 1)
    assert teacher.weights.startswith(f"hf://wondervictor/YOLO-World/{env}_clip_base")
    stages = [catalog.load(f"params:{name}.train") for name in ("stage1_backbone", "stage2_neck_head")]
    assert [stage.data_window for stage in stages] == [(0, 1 / 3), (1 / 3, 1)]
    assert stages[0].distillation.trkd is None
    assert stages[1].distillation.trkd.weight == 6
    assert [stage.distillation.pkd.weight for stage in stages] == [6, 6]
    for stage in (*stages, *(catalog.load(f"params:baselines.{name}.train") for name in ("qat", "finetuned"))):
        optimization = stage.optimization
        assert (optimization.num_steps, optimization.num_epochs) == (0, 1)
        assert stage.loader.batch_size * optimization.accumulation_steps == 48
        assert (optimization.learning_rate, optimization.quantizer_rate_factor) == (1.5e-5, 0.1)
        assert (optimization.schedule, optimization.autocast) == ("constant", "bfloat16")
        assert (stage.loader.image_size_px, stage.loader.num_prompts, stage.loader.padding_prompt) == (640, 80, "")
        assert (stage.distillation.pkd.weight if stage in stages else stage.distillation.pkd) == (
            6 if stage in stages else None
        )
    assert catalog.load("params:evaluation").lvis_protocol == "lvis-fixed"
    # The task loss over all passes weighs what it weighs over one batch of 48.
    passes = stages[0].optimization.accumulation_steps
    assert detector.options["loss"] == {
        "class_weight": 0.5 * passes,
        "box_weight": 7.5 * passes,
        "dfl_weight": 1.5 * passes,
    }


def test_the_paper_scale_of_omdet_turbo_is_the_same_recipe_on_another_detector(project):
    pytest.importorskip("transformers", reason="needs the extra omdet")
    omdet, yolo = (load_catalog(project, env) for env in ("omdet_turbo_tiny", "yolo_world_l"))
    assert (omdet.load("params:detector").name, omdet.load("params:detector").options) == ("omdet_turbo_tiny", {})
    assert omdet.load("params:teacher").weights == "hf://omlab/omdet-turbo-swin-tiny-hf/model.safetensors"
    assert set(omdet.load("params:data_prep").text_encoders) >= {"omdet_turbo"}
    for name in ("stage1_backbone", "stage2_neck_head"):
        ours, theirs = (catalog.load(f"params:{name}.train") for catalog in (omdet, yolo))
        assert ours.distillation == theirs.distillation
        assert ours.loader.batch_size * ours.optimization.accumulation_steps == 48
        assert ours.optimization.learning_rate == theirs.optimization.learning_rate


@pytest.mark.parametrize("env", sorted(DEVICES))
def test_students_of_devices_are_bytes_between_layers_and_named_by_their_widths(project, env):
    bits, mark = DEVICES[env]
    catalog, base = load_catalog(project, env), load_catalog(project)
    quantization = catalog.load("params:quantization")
    assert (quantization.notation, quantization.pre_activation_bits) == (f"{bits} Ch-T-H", 8)
    assert base.load("params:curriculum") == catalog.load("params:curriculum")
    labels = {name: form.label for name, form in catalog.load("params:evaluation").forms.items()}
    assert labels["int4"] == f"CR-QAT {'int8' if env == 'phone' else 'W4A8'} file"
    assert set(labels) == set(base.load("params:evaluation").forms)
    assert quantization.file_mark == mark


def test_paper_scale_data_moves_with_one_parameter(project):
    catalog = load_catalog(project, "yolo_world_x", {"datasets": "/elsewhere"})
    assert {str(path) for path in catalog.get("qat_annotations").paths.values()} == {
        "/elsewhere/objects365v2/zhiyuan_objv2_train.json",
        "/elsewhere/gqa/final_mixed_train_no_coco.json",
    }
    assert str(catalog.get("val_images").path) == "/elsewhere/coco/val2017"


def test_environments_that_extend_another_differ_in_a_few_lines(project):
    for env in PAPER_SCALE:
        files = [path for path in (project / "conf" / env).rglob("*") if path.is_file()]
        assert [path.name for path in files] == ["globals.yml"]
