"""AP of exported graphs equals the student's: on scenes of the embedded benchmark, by the COCO protocol.

The student is untrained, so its own best detections serve as objects to find: what counts is that a graph finds them
like the student, image by image, at every threshold.
"""

import pytest
import torch

from crqat_pipeline.detection_data.open_shapes import OpenShapesSpec, render_file
from crqat_pipeline.evaluation import evaluate
from crqat_pipeline.export.onnx import OnnxSpec
from crqat_pipeline.export.verified_onnx import write_verified_onnx
from crqat_pipeline.inference import Predictor
from crqat_pipeline.inference.onnx_model import OnnxModel
from crqat_pipeline.inference.torch_model import TorchModel
from crqat_pipeline.structures.vocabulary import TextBank

pytest.importorskip("onnxruntime")
SIDE_PX, NUM_IMAGES, NUM_OBJECTS = 96, 6, 8
PROMPTS = ("red star", "blue ring", "moon", "arrow")
BANK = TextBank(PROMPTS, torch.randn(4, 64, generator=torch.Generator().manual_seed(3)), "test", is_normalized=False)


@pytest.fixture(scope="module")
def scenes():
    spec = OpenShapesSpec(num_val_images=NUM_IMAGES, image_size_px=SIDE_PX, max_object_px=72)
    return [render_file(spec, "val", f"{index:06d}.jpg") for index in range(NUM_IMAGES)]


def detections_of(model, scenes):
    """COCO results, best first in each image."""
    predictor = Predictor(model, image_size_px=SIDE_PX)
    rows = []
    for image_id, found in enumerate(predictor.predict(scenes, score_threshold=1e-6), start=1):
        for box, score, label in zip(found.boxes_M4.tolist(), found.scores_M.tolist(), found.labels_M, strict=True):
            left, top, right, bottom = box
            if right > left and bottom > top:
                sides = [left, top, right - left, bottom - top]
                rows.append({"image_id": image_id, "category_id": int(label) + 1, "bbox": sides, "score": score})
    return rows


def truth_from(rows):
    """The best detections of each image as annotated objects."""
    images = [{"id": number, "width": SIDE_PX, "height": SIDE_PX} for number in range(1, NUM_IMAGES + 1)]
    chosen = [row for image in images for row in [row for row in rows if row["image_id"] == image["id"]][:NUM_OBJECTS]]
    objects = [
        {**row, "id": number, "area": row["bbox"][2] * row["bbox"][3], "iscrowd": 0}
        for number, row in enumerate(chosen, start=1)
    ]
    categories = [{"id": number, "name": name} for number, name in enumerate(PROMPTS, start=1)]
    return {"images": images, "annotations": objects, "categories": categories}


@pytest.mark.parametrize(
    ("form", "runtime", "options"),
    [
        ("fast", "onnxruntime", {"pre_activation_bits": 8}),
        ("spec", "onnxruntime", {}),
        ("openvino", "openvino", {}),
        ("tensorrt", "onnxruntime", {}),
    ],
)
def test_ap_of_the_graph_is_that_of_the_student_within_a_tenth(make_student, scenes, tmp_path, form, runtime, options):
    pytest.importorskip(runtime)
    student = make_student(2, is_aligned=bool(options), **options)
    images_B3HW = torch.rand(1, 3, SIDE_PX, SIDE_PX, generator=torch.Generator().manual_seed(0))
    write_verified_onnx(tmp_path / "m.onnx", student, [images_B3HW], OnnxSpec(form=form), text_bank=BANK)
    expected = detections_of(TorchModel(student, "student", text_bank=BANK), scenes)
    assert len({round(row["score"], 5) for row in expected}) > 20
    truth = truth_from(expected)
    own = evaluate(truth, expected, "coco").metrics["AP"]
    exported = evaluate(truth, detections_of(OnnxModel(tmp_path / "m.onnx", runtime, 1), scenes), "coco").metrics["AP"]
    assert own > 0.2
    assert abs(own - exported) < 0.001
