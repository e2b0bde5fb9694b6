"""Models of this project under detectron2's predictor, evaluators and visualizer.

Shape letters: B images, 3 RGB, H W pixels, K prompts, D embedding.
"""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from crqat_pipeline.detection_data.image_writer import write_images
from crqat_pipeline.detection_data.open_shapes import OpenShapesSpec, draw_layout
from crqat_pipeline.detectors import build_detector
from crqat_pipeline.evaluation import evaluate
from crqat_pipeline.inference import Predictor, open_image
from crqat_pipeline.inference.runnable import ModelFacts
from crqat_pipeline.structures.output import Detections
from crqat_pipeline.structures.vocabulary import TextBank

pytestmark = pytest.mark.skipif(
    find_spec("detectron2") is None, reason="detectron2 is not installed: see docs/how_to/use_with_detectron2.md"
)
SIDE_PX = 64


class NoisyTruth:
    """Finds the objects of one image after the other, a little off and with some that are not there."""

    def __init__(self, annotations: dict[str, Any], names: tuple[str, ...], category_ids: tuple[int, ...]) -> None:
        bank = TextBank(names, torch.eye(len(names)), "unit", is_normalized=True)
        self.facts = ModelFacts("noisy", len(names), 32, text_bank=bank, image_size_px=SIDE_PX)
        self._annotations, self._category_ids = annotations, category_ids
        self._number = 0

    def detect(self, images_B3HW: Tensor, text_KD: Tensor, **_: Any) -> list[Detections]:
        return [self._next() for _ in range(len(images_B3HW))]

    def _next(self) -> Detections:
        generator = torch.Generator().manual_seed(self._number)
        image_id = self._annotations["images"][self._number]["id"]
        self._number += 1
        own = [one for one in self._annotations["annotations"] if one["image_id"] == image_id]
        boxes = torch.tensor([[x, y, x + w, y + h] for x, y, w, h in (one["bbox"] for one in own)]).reshape(-1, 4)
        labels = torch.tensor([self._category_ids.index(one["category_id"]) for one in own], dtype=torch.int64)
        boxes = torch.cat((boxes, boxes)) + 2 * torch.randn(2 * len(own), 4, generator=generator)
        labels = torch.cat((labels, (labels + 1) % len(self._category_ids)))
        scores, order = torch.rand(2 * len(own), generator=generator).sort(descending=True)
        return Detections(boxes[order].clamp(0, SIDE_PX), scores, labels[order])


@pytest.fixture(scope="module")
def benchmark(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], dict[str, Any], Path]:
    """COCO and LVIS annotations and folder of a few scenes; the files lie beside the folder."""
    folder = tmp_path_factory.mktemp("scenes")
    spec = OpenShapesSpec(
        num_train_images=16,
        num_val_images=6,
        num_tune_images=4,
        num_qat_images=8,
        image_size_px=SIDE_PX,
        max_object_px=40,
    )
    layout = draw_layout(spec)
    rendered = layout.rendered("val")
    write_images(folder / "val", rendered.names, rendered.render, 1, fingerprint=rendered.fingerprint)
    coco, lvis = layout.annotations["val"], layout.annotations_lvis["val"]
    (folder / "coco.json").write_text(json.dumps(coco))
    (folder / "lvis.json").write_text(json.dumps(lvis))
    return coco, lvis, folder


def _results(annotations: dict[str, Any], predictor: Predictor, category_ids: tuple[int, ...], folder: Path) -> Any:
    records = []
    for image in annotations["images"]:
        found = predictor.predict(open_image(folder / "val" / image["file_name"]), score_threshold=0.001)[0]
        for box, score, label in zip(found.boxes_M4.tolist(), found.scores_M.tolist(), found.labels_M, strict=True):
            x, y, u, v = box
            box_xywh = [x, y, u - x, v - y]
            category = category_ids[int(label)]
            records.append({"image_id": image["id"], "category_id": category, "bbox": box_xywh, "score": score})
    return records


def test_average_precision_of_its_evaluator_equals_ours(benchmark: Any, tmp_path: Path) -> None:
    from detectron2.data import build_detection_test_loader, get_detection_dataset_dicts
    from detectron2.evaluation import COCOEvaluator, inference_on_dataset

    from crqat_pipeline.inference.detectron2_bridge import Detectron2Model, UnchangedImages, register_annotations

    annotations, _, folder = benchmark
    vocabulary = register_annotations("scenes", folder / "coco.json", folder / "val")
    noisy = (annotations, vocabulary.names, vocabulary.category_ids)
    model = Detectron2Model(Predictor(NoisyTruth(*noisy)))
    records = get_detection_dataset_dicts(["scenes"], filter_empty=False)
    loader = build_detection_test_loader(dataset=records, mapper=UnchangedImages(), num_workers=0)
    evaluator = COCOEvaluator("scenes", ("bbox",), distributed=False, output_dir=str(tmp_path), use_fast_impl=False)
    theirs = inference_on_dataset(model, loader, evaluator)["bbox"]
    ours = evaluate(
        annotations, _results(annotations, Predictor(NoisyTruth(*noisy)), vocabulary.category_ids, folder), "coco"
    )
    assert 0.05 < ours.metrics["AP"] < 0.95
    for name in ("AP", "AP50", "AP75"):
        assert abs(theirs[name] / 100 - ours.metrics[name]) < 1e-6, name


def test_average_precision_of_its_lvis_evaluator_equals_ours(
    benchmark: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("lvis")
    from detectron2.data import build_detection_test_loader, get_detection_dataset_dicts
    from detectron2.evaluation import LVISEvaluator, inference_on_dataset

    from crqat_pipeline.inference.detectron2_bridge import Detectron2Model, UnchangedImages, register_annotations

    monkeypatch.setattr(np, "float", float, raising=False)  # lvis 0.5.3 asks NumPy for a name that it no longer has
    _, annotations, folder = benchmark
    vocabulary = register_annotations("scenes_lvis", folder / "lvis.json", folder / "val")
    noisy = (annotations, vocabulary.names, vocabulary.category_ids)
    model = Detectron2Model(Predictor(NoisyTruth(*noisy)), max_detections=300)
    records = get_detection_dataset_dicts(["scenes_lvis"], filter_empty=False)
    loader = build_detection_test_loader(dataset=records, mapper=UnchangedImages(), num_workers=0)
    evaluator = LVISEvaluator("scenes_lvis", ("bbox",), distributed=False, output_dir=str(tmp_path))
    theirs = inference_on_dataset(model, loader, evaluator)["bbox"]
    ours = evaluate(
        annotations, _results(annotations, Predictor(NoisyTruth(*noisy)), vocabulary.category_ids, folder), "lvis"
    )
    assert 0.05 < ours.metrics["AP"] < 0.95
    for name in ("AP", "AP50", "AP75"):
        assert abs(theirs[name] / 100 - ours.metrics[name]) < 1e-6, name


def test_a_model_file_runs_under_the_default_predictor_and_the_visualizer(benchmark: Any, tmp_path: Path) -> None:
    from detectron2.config import get_cfg, instantiate
    from detectron2.data import MetadataCatalog
    from detectron2.engine import DefaultPredictor
    from detectron2.utils.visualizer import Visualizer

    from crqat_pipeline.inference.detectron2_bridge import add_crqat_config, lazy_model, register_annotations
    from crqat_pipeline.model_files.packed import write_packed
    from crqat_pipeline.quantization import QuantSpec, calibrate, prepare, set_quantized

    _, _, folder = benchmark
    vocabulary = register_annotations("scenes", folder / "coco.json", folder / "val")
    torch.manual_seed(0)
    name, spec = "yolo_world_open_shapes", QuantSpec.parse("4-4-8", kernel="eager")
    detector = build_detector(name, contrast_bias=0.0).eval()
    bank = TextBank(vocabulary.names, torch.randn(len(vocabulary), 64), "random", is_normalized=False)
    prepare(detector, spec)
    calibrate(detector, [(torch.rand(2, 3, SIDE_PX, SIDE_PX), bank.embeddings_KD)], list(detector.parts))
    set_quantized(detector, list(detector.parts))
    file = tmp_path / "model.safetensors"
    write_packed(
        file, detector, detector_name=name, detector_options={"contrast_bias": 0.0}, quantization=spec, text_bank=bank
    )

    cfg = get_cfg()
    add_crqat_config(cfg)
    cfg.MODEL.CRQAT.FILE, cfg.MODEL.DEVICE, cfg.MODEL.WEIGHTS = str(file), "cpu", ""
    cfg.DATASETS.TEST, cfg.TEST.DETECTIONS_PER_IMAGE = ("scenes",), 5
    cfg.INPUT.MIN_SIZE_TEST = 96
    image_bgr = np.random.default_rng(0).integers(0, 255, (48, 80, 3), dtype=np.uint8)
    instances = DefaultPredictor(cfg)(image_bgr)["instances"]
    assert 0 < len(instances) <= 5
    assert instances.image_size == (48, 80)
    assert float(instances.pred_boxes.tensor[:, 2].max()) <= 80
    drawn = Visualizer(image_bgr[:, :, ::-1], MetadataCatalog.get("scenes")).draw_instance_predictions(instances)
    assert drawn.get_image().shape == (48, 80, 3)

    lazy = instantiate(lazy_model(str(file), max_detections=5))
    image_CHW = torch.from_numpy(image_bgr.transpose(2, 0, 1).copy())
    answer = lazy([{"image": image_CHW, "height": 96, "width": 160}])[0]["instances"]
    plain = Predictor.load(file).predict(image_bgr[:, :, ::-1].copy(), score_threshold=0.001, max_detections=5)[0]
    torch.testing.assert_close(answer.pred_boxes.tensor, 2 * plain.boxes_M4)
    with pytest.raises(ValueError, match="not trained by detectron2"):
        lazy.train()([])
