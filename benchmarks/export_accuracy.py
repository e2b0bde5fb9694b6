"""AP of a packed student and of every ONNX form of it, on one annotation file, in one run.

    python -m benchmarks.export_accuracy data/07_model_output/crqat.int4.safetensors \\
        --annotations data/01_raw/annotations/val.json --images data/01_raw/images/val \\
        --calibration data/01_raw/images/qat --image-size 128

"fast" needs pre-activation quantizers: a student trained without gets them from the calibration images.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
import torch
from benchmarks.file_accuracy import print_rows, read_truth, score

from crqat_pipeline.detectors import OpenVocabularyDetector
from crqat_pipeline.export.bias_alignment import align_biases
from crqat_pipeline.export.onnx import OnnxSpec, write_onnx
from crqat_pipeline.export.parity import check_codes
from crqat_pipeline.export.pre_activation import with_pre_activation
from crqat_pipeline.inference import Predictor
from crqat_pipeline.inference.onnx_model import OnnxModel
from crqat_pipeline.model_files.packed import PackedModel, read_packed

NUM_CALIBRATION_IMAGES = 64
NUM_PARITY_IMAGES = 4


def images_of(folder: Path, predictor: Predictor, count: int) -> torch.Tensor:
    """(count, 3, S, S), letterboxed."""
    from crqat_pipeline.detection_data.letterbox import letterbox
    from crqat_pipeline.inference import open_image

    files = sorted(folder.iterdir())[:count]
    squares = [letterbox(open_image(file), predictor.image_size_px)[0] for file in files]
    pixels = np.stack([np.asarray(square).transpose(2, 0, 1) for square in squares])
    return torch.from_numpy(pixels).float().div_(255)


def students(packed: PackedModel, calibration: torch.Tensor) -> tuple[OpenVocabularyDetector, OpenVocabularyDetector]:
    """The student as it is, and with pre-activation quantizers."""
    student = packed.build()
    texts_KD = packed.text_bank.embeddings_KD  # type: ignore[union-attr]
    if packed.quantization.pre_activation_bits is not None:
        aligned = packed.build()
        align_biases(aligned)
        return student, aligned
    row = packed.metadata["detector"]
    fusable, _ = with_pre_activation(
        student,
        [(images_B3HW, texts_KD) for images_B3HW in calibration.split(16)],
        detector_name=row["name"],
        detector_options=row["options"],
        quantization=packed.as_stored,
    )
    return student, fusable


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--annotations", type=Path, required=True)
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--calibration", type=Path, required=True)
    parser.add_argument("--image-size", type=int, default=640)
    parser.add_argument("--limit", type=int, help="images to score")
    arguments = parser.parse_args()
    truth = read_truth(arguments.annotations, arguments.limit)
    packed = read_packed(arguments.model)
    assert packed.text_bank is not None
    predictor = Predictor.load(packed, image_size_px=arguments.image_size)
    student, fusable = students(packed, images_of(arguments.calibration, predictor, NUM_CALIBRATION_IMAGES))
    sample = images_of(arguments.images, predictor, NUM_PARITY_IMAGES)
    rows = [("packed file", score(predictor, truth, arguments.images, "packed"))]
    with tempfile.TemporaryDirectory() as name:
        for label, form, detector, runtime in (
            ("spec, onnxruntime", "spec", student, "onnxruntime"),
            ("openvino, OpenVINO", "openvino", student, "openvino"),
            ("fast, onnxruntime", "fast", fusable, "onnxruntime"),
        ):
            path = Path(name) / f"{form}.onnx"
            write_onnx(path, detector, OnnxSpec(form=form), text_bank=packed.text_bank)
            print(check_codes(path, detector, sample, packed.text_bank.embeddings_KD, runtime))
            graph = Predictor(OnnxModel(path, runtime, num_threads=1), image_size_px=arguments.image_size)
            rows.append((label, score(graph, truth, arguments.images, label)))
    print_rows(rows)


if __name__ == "__main__":
    main()
