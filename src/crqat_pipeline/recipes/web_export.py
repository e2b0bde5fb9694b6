"""One model file as a folder that detects in a browser."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from pathlib import Path

from PIL import Image

from crqat_pipeline.detection_data.rectangle import InputSize, sides_of
from crqat_pipeline.export.onnx import FORMS, OnnxSpec
from crqat_pipeline.export.onnx.fitting_form import lacks_pre_activation
from crqat_pipeline.export.parity_report import ParityReport
from crqat_pipeline.export.web import WebFolder, find_runtime, write_web_folder
from crqat_pipeline.export.web.folder import check_place
from crqat_pipeline.export.web.text_encoder import WebTextEncoder, web_text_encoder
from crqat_pipeline.recipes.exportable import ExportableModel
from crqat_pipeline.recipes.file_export import export_file
from crqat_pipeline.text_encoders.clip_tower import ClipTextEncoder


def export_web(
    model: ExportableModel,
    out: Path,
    images: Iterable[Image.Image],
    size_px: InputSize,
    *,
    runtime_folder: Path | None = None,
    has_webgpu: bool = True,
    score_threshold: float = 0.3,
    text_encoder: ClipTextEncoder | None = None,
) -> tuple[WebFolder, ParityReport, WebTextEncoder | None]:
    """Write the folder `out`, its graph proved on the images, for one picture of this size at a time.

    has_webgpu: of a full-precision model alone; the runtime for graphics processors refuses 4-bit weights.
    runtime_folder: see `find_runtime`. text_encoder: written beside the model, for names that the bank lacks. Raises
    ValueError for a model without prompts, one that browsers would run slower than full precision, a place that holds
    something else, a text encoder that did not make the bank, and whatever `export_file` refuses.
    """
    bank, input_px = model.text_bank, sides_of(size_px)
    if bank is None:
        raise ValueError("The page looks for prompts of a text bank, and this model came without. Give --vocabulary.")
    if lacks_pre_activation(model.detector):
        raise ValueError(
            "Browsers run onnxruntime, which needs pre-activation quantizers to compute on integers; this student was "
            "trained without. Give pictures of the kind it will see: --pre-activation-images FOLDER."
        )
    check_place(out)
    beside = None if text_encoder is None else web_text_encoder(text_encoder, bank)
    runtime = find_runtime(runtime_folder)
    spec = OnnxSpec(
        batch_size=1, image_size_px=input_px, has_embeddings=False, has_text_bank=False, score_threshold=score_threshold
    )
    with tempfile.TemporaryDirectory() as name:
        graph = Path(name) / "model.onnx"
        written = export_file(model, graph, spec, images, size_px)
        folder = write_web_folder(
            out,
            graph,
            written.file.facts,
            bank,
            input_px,
            runtime,
            score_threshold=score_threshold,
            has_webgpu=has_webgpu and not FORMS[written.file.form].is_quantized,
            text_encoder=beside,
        )
    return folder, written.parity, beside
