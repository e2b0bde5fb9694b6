"""One model file as a proved ONNX file.

Shape letters: B images, 3 RGB, H W pixels.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from crqat_pipeline.detection_data.open_shapes import OpenShapesSpec, render_file
from crqat_pipeline.detection_data.rectangle import InputSize, check_input, fit, sides_of
from crqat_pipeline.export.bias_alignment import align_biases
from crqat_pipeline.export.onnx import OnnxSpec
from crqat_pipeline.export.onnx.fitting_form import check_form, chosen_form, has_pre_activation
from crqat_pipeline.export.onnx.requirements import require_onnx
from crqat_pipeline.export.onnx.supported import check_declared, has_emitters
from crqat_pipeline.export.verified_onnx import VerifiedOnnx, write_verified_onnx
from crqat_pipeline.inference.image_files import expand, is_image
from crqat_pipeline.inference.image_source import open_image
from crqat_pipeline.model_files.checkpoint_file import read_checkpoint, text_bank_of
from crqat_pipeline.model_files.kind import ONNX, PACKED, kind_of
from crqat_pipeline.model_files.opening import naming
from crqat_pipeline.model_files.packed import read_packed
from crqat_pipeline.model_files.rebuilding import rebuild
from crqat_pipeline.recipes.exportable import ExportableModel, calibrated_outputs, of_packed

SMALLEST_SCENE_PX, LARGEST_SCENE_PX = 128, 1024
BATCH_SIZE = 4


def open_for_export(path: Path) -> ExportableModel:
    """The model of a packed file or checkpoint. Raises ValueError that says what the file is and what to do."""
    if not path.is_file():
        raise ValueError(f"No model file {path}. Check the path.")
    with naming(path):
        kind = kind_of(path)
        if kind == ONNX:
            raise ValueError(f"{path} is an ONNX graph already. Export from the packed file or the checkpoint.")
        if kind == PACKED:
            return of_packed(read_packed(path))
        checkpoint = read_checkpoint(path)
        known = ("stage", "seed", "image_size_px", "text_encoder")
        extra = {key: checkpoint.metadata[key] for key in known if key in checkpoint.metadata}
        rebuilt = rebuild(checkpoint)
        return ExportableModel(rebuilt.detector, rebuilt.row, rebuilt.quantization, text_bank_of(checkpoint), extra)


def with_integer_outputs(
    model: ExportableModel, images: Iterable[Image.Image], image_size_px: InputSize
) -> ExportableModel:
    """The same student with 8-bit pre-activation quantizers calibrated on the images, for the form fast.

    Raises ValueError for a full-precision model, one that has such quantizers, one without prompts to calibrate on,
    and no images.
    """
    if model.quantization is None:
        raise ValueError("Pre-activation quantizers serve quantized layers; this model is in full precision.")
    if not has_emitters(model.detector):
        raise ValueError(
            f"The form fast, which needs pre-activation quantizers, is written of detectors with emitters; "
            f"{model.row.name} is traced. Leave --pre-activation-images out."
        )
    if model.text_bank is None:
        raise ValueError("A detector is calibrated on prompts, and this model came without. Give a text bank.")
    return calibrated_outputs(model, image_batches(images, image_size_px, BATCH_SIZE))


def export_file(
    model: ExportableModel, out: Path, spec: OnnxSpec, images: Iterable[Image.Image], image_size_px: InputSize
) -> VerifiedOnnx:
    """Write `out` once it is proved on the images. The fast form of a student is that of the student aligned in place.

    Raises ValueError for a wish that does not fit, before any work, and for a graph that does not agree.
    """
    require_onnx()
    detector = model.detector
    form = chosen_form(detector, spec.form)
    check_declared(detector, spec)
    check_form(detector, form)
    check_input(image_size_px, detector.size_divisor)
    if form == "fast" and has_pre_activation(detector):
        align_biases(detector)
    batches = image_batches(images, image_size_px, spec.batch_size or BATCH_SIZE, is_fixed=spec.batch_size is not None)
    extra = {key: value for key, value in model.extra.items() if key != "image_size_px"}
    if isinstance(image_size_px, int):  # a rectangle is known from the graph
        extra["image_size_px"] = image_size_px
    return write_verified_onnx(out, detector, batches, spec, text_bank=model.text_bank, extra_metadata=extra)


def proof_images(folder: Path | None, image_size_px: InputSize, count: int) -> Iterator[Image.Image]:
    """Of the folder, or drawn ones without."""
    return drawn_images(image_size_px, count) if folder is None else folder_images(folder, count)


def folder_images(folder: Path, limit: int) -> Iterator[Image.Image]:
    """The first images of a folder, in name order. Raises ValueError for none, ImageError for a broken one."""
    files = [file for file, _ in expand([folder]) if is_image(file)]
    if not files:
        raise ValueError(f"No images in folder {folder}. Give files such as .jpg or .png.")
    return (open_image(file) for file in files[:limit])


def drawn_images(image_size_px: InputSize, count: int) -> Iterator[Image.Image]:
    """Scenes of the embedded benchmark, for a model whose images are not at hand."""
    side_px = max(SMALLEST_SCENE_PX, min(*sides_of(image_size_px), LARGEST_SCENE_PX))
    spec = OpenShapesSpec(num_val_images=count, image_size_px=side_px)
    return (render_file(spec, "val", f"{index:06d}.jpg") for index in range(count))


def image_batches(
    images: Iterable[Image.Image], size_px: InputSize, batch_size: int, *, is_fixed: bool = False
) -> Iterator[Tensor]:
    """Letterboxed (B, 3, H, W) in [0, 1]; is_fixed leaves out a smaller last batch."""
    source = iter(images)
    while chunk := list(itertools.islice(source, batch_size)):
        if len(chunk) == batch_size or not is_fixed:
            pixels = [np.asarray(fit(image, size_px)[0]).transpose(2, 0, 1) for image in chunk]
            yield torch.from_numpy(np.stack(pixels)).float().div_(255)
