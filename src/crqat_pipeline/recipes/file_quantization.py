"""One full-precision checkpoint as a packed file and a proved ONNX file: calibration on a folder of photographs, no
training.

Shape letters: B images, 3 RGB, H W pixels, K prompts, D embedding.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image
from torch import Tensor

from crqat_pipeline.detection_data.letterbox import check_side
from crqat_pipeline.detectors.protocol import OpenVocabularyDetector
from crqat_pipeline.export.bias_alignment import align_biases
from crqat_pipeline.export.onnx import OnnxSpec
from crqat_pipeline.export.onnx.fitting_form import AUTOMATIC, lacks_pre_activation
from crqat_pipeline.export.onnx.requirements import require_onnx
from crqat_pipeline.export.onnx.supported import check_supported
from crqat_pipeline.export.verified_onnx import VerifiedOnnx
from crqat_pipeline.inference.image_files import expand, is_image
from crqat_pipeline.inference.image_source import open_image
from crqat_pipeline.model_files.checkpoint_file import read_checkpoint, text_bank_of
from crqat_pipeline.model_files.kind import CHECKPOINT, kind_of
from crqat_pipeline.model_files.opening import naming
from crqat_pipeline.model_files.packed import PackedReport, write_packed
from crqat_pipeline.model_files.rebuilding import RebuiltDetector, rebuild
from crqat_pipeline.model_files.text_bank_file import read_text_bank
from crqat_pipeline.quantization import QuantSpec, calibrate, prepare, set_quantized
from crqat_pipeline.recipes.exportable import DEFAULT_IMAGE_SIZE_PX
from crqat_pipeline.recipes.file_export import export_file, image_batches, open_for_export, with_integer_outputs
from crqat_pipeline.runtime.atomic import check_writable
from crqat_pipeline.runtime.progress import progress
from crqat_pipeline.structures.vocabulary import TextBank

BATCH_SIZE = 8
PROOF_IMAGES = 8
OUTPUT_IMAGES = 64
"""Of the calibration images, those that the graph's pre-activation quantizers take their range from."""
BANK_OF_A_RUN = Path("05_model_input/text_bank.safetensors")
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class QuantizationRequest:
    """What is made of what. images: files to calibrate on. bank: embeddings of the prompts, (K, D).

    out: folder of the results, whose names are the model's with the widths. image_size_px: side of the square input.
    sources: further files that were read for it, which no result may replace.
    """

    model: Path
    images: Sequence[Path]
    quantization: QuantSpec
    out: Path
    bank: TextBank | None = None
    image_size_px: int | None = None
    onnx: OnnxSpec | None = None
    sources: Sequence[Path] = ()

    def target(self, suffix: str) -> Path:
        """Where the result of this suffix goes."""
        return self.out / f"{self.model.stem}.{self.quantization.file_mark}{suffix}"


@dataclass(frozen=True)
class QuantizedFiles:
    """packed and, unless it was switched off, graph; num_images were calibrated on."""

    packed: PackedReport
    graph: VerifiedOnnx | None
    num_images: int
    image_size_px: int


def calibration_files(folder: Path, limit: int) -> tuple[Path, ...]:
    """Images of a folder and the folders below it, evenly spread over their names. Raises ValueError for none."""
    files = [file for file, _ in expand([folder]) if is_image(file)]
    if not files:
        raise ValueError(f"No images in folder {folder}. Give files such as .jpg or .png.")
    step = max(1.0, len(files) / limit)
    return tuple(files[int(number * step)] for number in range(min(limit, len(files))))


def quantize_file(request: QuantizationRequest) -> QuantizedFiles:
    """Calibrate, pack, read the packed file back, and prove the graph made of it.

    Raises ValueError for a model that is quantized already or has no prompts, for a size that does not fit, and for
    photographs that cannot be read; nothing is written then.
    """
    opened = open_for_quantization(request.model, request.bank, request.image_size_px)
    rebuilt, bank, size_px = opened.rebuilt, opened.bank, opened.image_size_px
    if request.onnx is not None:
        require_onnx()
        check_supported(rebuilt.detector, request.onnx)
    for suffix in (".safetensors", *([] if request.onnx is None else [".onnx"])):
        check_writable(request.target(suffix), [request.model, *request.sources])
    detector = quantized(request, opened)
    facts = {"stage": "ptq", "image_size_px": size_px, "calibration_images": len(request.images)}
    packed = write_packed(
        request.target(".safetensors"),
        detector,
        detector_name=rebuilt.row.name,
        detector_options=rebuilt.row.options,
        quantization=request.quantization,
        text_bank=bank,
        extra_metadata=facts | _encoder_of(request.model),
    )
    graph = None
    if request.onnx is not None:
        again = open_for_export(packed.path)
        if request.onnx.form == AUTOMATIC and lacks_pre_activation(again.detector):
            shown = (open_image(file) for file in request.images[:OUTPUT_IMAGES])
            again = with_integer_outputs(again, shown, size_px)
        proof = (open_image(file) for file in request.images[:PROOF_IMAGES])
        graph = export_file(again, request.target(".onnx"), request.onnx, proof, size_px)
    return QuantizedFiles(packed, graph, len(request.images), size_px)


@dataclass(frozen=True)
class OpenedCheckpoint:
    """A full-precision detector with what its images and prompts are."""

    rebuilt: RebuiltDetector
    bank: TextBank
    image_size_px: int


def open_for_quantization(path: Path, bank: TextBank | None, image_size_px: int | None) -> OpenedCheckpoint:
    """The checkpoint's detector; a bank or size that is not given is the file's own, or its run's.

    Raises ValueError for a model that is quantized already, without prompts, or that the bank or size does not fit.
    """
    rebuilt, own_bank, own_size_px = _opened(path)
    bank = bank or own_bank or _bank_of_the_run(path)
    detector = rebuilt.detector
    if bank.embeddings_KD.shape[1] != detector.embedding_dim:
        raise ValueError(
            f"{path} compares embeddings of {detector.embedding_dim} numbers; those of the prompts have "
            f"{bank.embeddings_KD.shape[1]}. Embed them with the model's own text encoder."
        )
    size_px = image_size_px or own_size_px or DEFAULT_IMAGE_SIZE_PX
    check_side(size_px, detector.size_divisor)
    return OpenedCheckpoint(rebuilt, bank, size_px)


def quantized(request: QuantizationRequest, opened: OpenedCheckpoint) -> OpenVocabularyDetector:
    """The checkpoint's detector itself, every part quantized and calibrated on the request's photographs."""
    detector = opened.rebuilt.detector
    prepare(detector, request.quantization)
    parts = tuple(detector.parts)
    calibrate(detector.eval(), _inputs(request.images, opened.image_size_px, opened.bank), parts)
    set_quantized(detector, parts)
    align_biases(detector)
    return detector


def _opened(path: Path) -> tuple[RebuiltDetector, TextBank | None, int | None]:
    if not path.is_file():
        raise ValueError(f"No model file {path}. Check the path.")
    with naming(path):
        if kind_of(path) != CHECKPOINT:
            raise ValueError(f"Only a full-precision checkpoint can be quantized; {path} is exported already.")
        checkpoint = read_checkpoint(path)
        rebuilt = rebuild(checkpoint)
        if rebuilt.quantization is not None:
            raise ValueError(
                f"Only a full-precision checkpoint can be quantized; {path} is at {rebuilt.quantization.notation}. "
                "Take the teacher that it was made of, or export it as it is: crqat export."
            )
        return rebuilt, text_bank_of(checkpoint), checkpoint.metadata.get("image_size_px")


def _encoder_of(path: Path) -> dict[str, object]:
    encoder = read_checkpoint(path).metadata.get("text_encoder")
    return {} if encoder is None else {"text_encoder": encoder}


def _bank_of_the_run(model: Path) -> TextBank:
    """That of the run that the model was trained in: <data_root>/06_models/<stage>/<model>."""
    beside = [folder / BANK_OF_A_RUN for folder in model.absolute().parents[1:3]]
    found = next((path for path in beside if path.is_file()), None)
    if found is None:
        raise ValueError(
            f"A detector is calibrated on prompts; {model} came without. Give a text bank: --vocabulary FILE, made by "
            "crqat embed, or by the pipeline data_prep (05_model_input/text_bank.safetensors)."
        )
    logger.info("Prompts are those of the model's run: %s", found)
    return read_text_bank(found)


def _inputs(files: Sequence[Path], size_px: int, bank: TextBank) -> Iterator[tuple[Tensor, Tensor]]:
    """(images_B3HW, embeddings_KD)."""
    texts_KD = bank.embeddings_KD.float()
    images: Iterator[Image.Image] = (open_image(file) for file in progress(files, "calibrate", unit="image"))
    for images_B3HW in image_batches(images, size_px, BATCH_SIZE):
        yield images_B3HW, texts_KD
