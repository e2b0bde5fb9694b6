"""`crqat export`: a packed file or checkpoint as an ONNX graph, proved against the model before it is there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import click

from crqat_pipeline.cli import coreml_form, litert_form, ncnn_form, vendor_form, web_form
from crqat_pipeline.cli.coreml_form import COREML
from crqat_pipeline.cli.coreml_form import SUFFIX as PACKAGE
from crqat_pipeline.cli.export_request import ExportRequest
from crqat_pipeline.cli.litert_form import LITERT, SUFFIX
from crqat_pipeline.cli.ncnn_form import NCNN
from crqat_pipeline.cli.vendor_form import VENDOR
from crqat_pipeline.cli.web_form import WEB
from crqat_pipeline.runtime.command_line import FiniteRange, refused
from crqat_pipeline.runtime.sides import Sides

AUTOMATIC = "auto"
FORMS = (AUTOMATIC, "fast", "spec", "openvino", "tensorrt", "fp32")
SUFFIXES: Mapping[str, str | None] = MappingProxyType(
    {WEB: None, VENDOR: None, LITERT: SUFFIX, NCNN: None, COREML: PACKAGE}
)
"""Forms that are no ONNX files: the suffix of what they write, None for a folder."""
FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)


@click.command("export")
@click.argument("model", type=click.Path(path_type=Path))
@click.option(
    "--out",
    required=True,
    type=click.Path(path_type=Path),
    help="The .onnx file to write; litert: .tflite; coreml: .mlpackage; web, vendor, ncnn: a folder.",
)
@click.option(
    "--form",
    type=click.Choice((*FORMS, *SUFFIXES)),
    default=AUTOMATIC,
    show_default=True,
    help="auto: fast where there are pre-activation quantizers, or images to calibrate them on; openvino without; fp32 "
    "unquantized. web: a folder with a page that detects in a browser. vendor: one for toolchains that "
    "quantize by themselves. litert: a .tflite file. ncnn: a folder with a network for ncnn. coreml: a package for iOS "
    "and macOS, which nothing here runs.",
)
@click.option("--images", type=FOLDER, help="Images to prove the graph on [default: drawn scenes].")
@click.option("--num-images", type=click.IntRange(1, 100_000), default=8, show_default=True, help="How many of them.")
@click.option(
    "--image-size", type=Sides(), default=None, help="Of the input; a rectangle is fixed [default: the model's side]."
)
@click.option("--vocabulary", type=click.Path(path_type=Path), help="Text bank to store [default: the model's own].")
@click.option("--fixed-vocabulary", is_flag=True, help="Fold the text bank into the graph: images are its only input.")
@click.option(
    "--static", is_flag=True, help="Batch of one and --image-size only, for runtimes that want static shapes."
)
@click.option("--batch", type=click.IntRange(1, 10_000), default=None, help="Images per call [default: any number].")
@click.option(
    "--opset", type=click.IntRange(12, 23), default=None, help="Of ONNX [default: 21; tensorrt: 18; vendor: 13]."
)
@click.option(
    "--nms", type=click.IntRange(1, 100_000), default=None, help="Suppression in the graph; so many per prompt at most."
)
@click.option(
    "--threshold",
    type=FiniteRange(0, 1, max_open=True),
    default=None,
    help="Score, for --nms and as the page's first [default: 0.001; web: 0.3].",
)
@click.option(
    "--top", type=click.IntRange(1, 100_000), default=None, help="Only so many best regions per image, in fixed shapes."
)
@click.option(
    "--pre-activation-images",
    type=FOLDER,
    help="Calibrate 8-bit pre-activation quantizers on these, so that onnxruntime runs integers (form fast): for a "
    "student trained without; costs about 0.1 AP [forms auto, web and litert: --images].",
)
@click.option("--no-embeddings", is_flag=True, help="Leave out the region embeddings: faster (docs/formats/onnx.md).")
@click.option(
    "--int4-weights",
    is_flag=True,
    help="Form litert: 4-bit weights two to a byte: half the file, but slow kernels (docs/formats/litert.md).",
)
@click.option(
    "--text-encoder",
    default=None,
    help="Form web: CLIP's text encoder beside the page, for names that the text bank lacks: open_clip, JSON with its "
    "options, or a file of CLIP weights [default: none; the nearest names of the bank are offered].",
)
@click.option(
    "--unsigned-weights",
    is_flag=True,
    help="8-bit weights as unsigned ones: right in any program on x86 CPUs without VNNI too, slow on all others "
    "(docs/formats/onnx.md).",
)
@click.option("--runtime", type=FOLDER, help="Form web: folder with the package of onnxruntime-web [default: npm].")
@click.option(
    "--no-webgpu", is_flag=True, help="Form web of a full-precision model: without the runtime for GPUs (27 MB)."
)
def command(model: Path, out: Path, form: str, images: Path | None, num_images: int, **wishes: Any) -> None:
    """Write MODEL (packed int4 or checkpoint) as ONNX or, by its form, for another runtime.

    The graph's integer codes are compared with the model's own, layer by layer; OUT appears only if they agree.
    """
    suffix = SUFFIXES.get(form, ".onnx")
    if suffix is not None and out.suffix != suffix:
        raise click.BadParameter(f"the name must end in {suffix}; got {out.name}.", param_hint="--out")
    if wishes["int4_weights"] and form != LITERT:
        raise click.BadParameter(f"it belongs to the form litert; got {form}.", param_hint="--int4-weights")
    if wishes["text_encoder"] is not None and form != WEB:
        raise click.BadParameter(f"it belongs to the form web; got {form}.", param_hint="--text-encoder")
    from dataclasses import replace

    from crqat_pipeline.export.onnx.fitting_form import lacks_pre_activation
    from crqat_pipeline.export.onnx.requirements import require_onnx
    from crqat_pipeline.model_files.text_bank_file import read_text_bank
    from crqat_pipeline.recipes.file_export import open_for_export

    try:
        require_onnx()
        opened = open_for_export(model)
        if wishes["vocabulary"] is not None:
            opened = replace(opened, text_bank=read_text_bank(wishes["vocabulary"]))
        size_px = wishes["image_size"] or opened.image_size_px
        calibrating = wishes["pre_activation_images"]
        if calibrating is None and form in (AUTOMATIC, WEB, LITERT) and lacks_pre_activation(opened.detector):
            calibrating = images if opened.text_bank is not None else None
        write = WRITERS.get(form, _write_graph)
        write(ExportRequest(opened, model, out, form, size_px, images, num_images, calibrating, wishes))
    except (ValueError, OSError) as error:
        raise refused(error) from error
    if images is None and form != COREML:
        click.echo("compared on drawn scenes; give --images FOLDER to compare on images of your own")


def _write_graph(request: ExportRequest) -> None:
    from crqat_pipeline.export.onnx import OnnxSpec
    from crqat_pipeline.export.onnx.form_table import FORMS as ROWS
    from crqat_pipeline.inference.saturation import self_test
    from crqat_pipeline.recipes.file_export import export_file
    from crqat_pipeline.runtime.atomic import check_writable

    wishes = request.options
    check_writable(request.out, [request.source])
    is_fixed = wishes["static"] or not isinstance(request.image_size_px, int)
    spec = OnnxSpec.model_validate(
        {
            "form": request.form,
            "opset": wishes["opset"],
            "batch_size": wishes["batch"] or (1 if wishes["static"] else None),
            "image_size_px": request.sides_px if is_fixed else None,
            "has_fixed_vocabulary": wishes["fixed_vocabulary"],
            "has_unsigned_weights": wishes["unsigned_weights"],
            "has_embeddings": not wishes["no_embeddings"],
            "score_threshold": 0.001 if wishes["threshold"] is None else wishes["threshold"],
            "nms_max_detections": wishes["nms"],
            "top_regions": wishes["top"],
        }
    )
    written = export_file(request.ready(), request.out, spec, request.proof_images(), request.image_size_px)
    file, parity = written.file, written.parity
    click.echo(f"wrote {request.out}: form {file.form}, {file.file_bytes / 2**20:.2f} MB, sha256 {file.sha256[:16]}…")
    click.echo(f"made for {ROWS[file.form].purpose}")
    if request.opened.text_bank is None:
        click.echo("the model came without prompts: compared with random embeddings, none are stored")
    click.echo(str(parity))
    click.echo(self_test(file.num_wide_layers, has_unsigned_weights=spec.has_unsigned_weights))


Writer = Callable[[ExportRequest], None]
WRITERS: Mapping[str, Writer] = MappingProxyType(
    {
        WEB: web_form.write,
        VENDOR: vendor_form.write,
        LITERT: litert_form.write,
        NCNN: ncnn_form.write,
        COREML: coreml_form.write,
    }
)
