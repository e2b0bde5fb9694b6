"""The card of an exported model: what it is, what it was made of, whose licences hold, how it is used.

Its figures are added when they are known (figures.py).
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import yaml

from crqat_pipeline.model_files.packed import PackedModel
from crqat_pipeline.recipes.specs import ExportSpec, TeacherSpec
from crqat_pipeline.structures.vocabulary import TextBank

PACKAGE = "crqat-pipeline"
TASK = "zero-shot-object-detection"
TAGS = ("object-detection", "open-vocabulary", "quantization", "onnx")
RENDERED = "open_shapes"
"""The `source` of data that this package renders itself."""
FENCE = "---\n"
FIGURES, AFTER_FIGURES = "## Figures\n", "## Licences\n"
SPLITS = ("train", "qat", "val")
UNKNOWN = "not stated; the terms of its authors hold"


def model_card(
    name: str,
    packed: PackedModel,
    data_report: Mapping[str, Any],
    teacher: TeacherSpec,
    spec: ExportSpec,
    metrics: Mapping[str, float],
) -> str:
    """The card without figures. name: of the packed file. metrics: what int4_export measured of its files."""
    is_rendered, is_trained_here = data_report.get("source") == RENDERED, teacher.weights is None
    header, stated = packed.header, spec.card
    front = {
        "license": stated.license or ("apache-2.0" if is_rendered and is_trained_here else "other"),
        "pipeline_tag": TASK,
        "library_name": PACKAGE,
        "tags": [*TAGS, header.quantization.file_mark],
    }
    data = f"rendered by {PACKAGE}" if is_rendered else stated.data or "files of the user"
    data_license = "Apache-2.0, as the program that rendered it" if is_rendered else stated.data_license or UNKNOWN
    weights = (
        "trained from scratch on this data" if is_trained_here else f"ready weights, `{_file(str(teacher.weights))}`"
    )
    weights_license = "made by this run" if is_trained_here else stated.weights_license or UNKNOWN
    return "\n".join(
        [
            f"{FENCE}{front_matter(front)}{FENCE}",
            f"# {name}\n",
            f"An open-vocabulary object detector, `{header.detector.name}`, at {header.quantization.notation}: bits of",
            "weights, of activations, and of the operands of attention. It finds what a text names. Written by",
            f"{PACKAGE}{_version()}.\n",
            f"## Files\n\n{_files(name, metrics)}",
            f"## How it was made\n\n{_made(packed)}",
            f"- Full-precision teacher: {weights}.",
            f"- Data: {data}.{_splits(data_report)}\n",
            f"{FIGURES}\nNot measured yet: `kedro run --pipelines=evaluation` writes this card with them.\n",
            AFTER_FIGURES,
            f"- Weights: {weights_license}.",
            f"- Data: {data_license}.",
            f"- {PACKAGE}: Apache-2.0.\n",
            f"## Use\n\n{_use(name, packed.text_bank)}",
        ]
    )


def _made(packed: PackedModel) -> str:
    extra, bank = packed.header.extra, packed.text_bank
    run = extra.model_extra or {}
    size = f"{extra.image_size_px} × {extra.image_size_px} px" if extra.image_size_px else "any size"
    prompts = f"{len(bank.prompts)} prompts, embedded by `{bank.encoder}`" if bank else "none; give embeddings with it"
    return f"- Stage `{run.get('stage')}`, seed {run.get('seed')}. Input: {size}. Words: {prompts}."


def _use(name: str, bank: TextBank | None) -> str:
    prompts = shlex.quote(",".join(bank.prompts[:2]) if bank else "cat,dog")
    return (
        f"```bash\npip install '{PACKAGE}[detect]'\n"
        f"crqat detect {name} photo.jpg --prompts {prompts} --out found/\n```\n\n"
        "```python\nfrom crqat_pipeline.inference import Predictor\n\n"
        f'(found,) = Predictor.load("{name}").predict("photo.jpg", score_threshold=0.3)\n```\n'
    )


def _files(name: str, metrics: Mapping[str, float]) -> str:
    said = (
        f"packed codes; {metrics['compression']:.1f} times smaller than 32-bit weights; equal to the student on "
        f"{metrics['parity_images']} images"
    )
    rows = [f"| `{name}` | {metrics['packed_bytes']:,} | {said} |"]
    if "onnx_bytes" in metrics:
        compared = f"{metrics['onnx_codes']:,} codes compared with the student"
        rows.append(f"| ONNX graph | {metrics['onnx_bytes']:,} | {compared} |")
    return "\n".join(["| file | bytes | what |", "| --- | --- | --- |", *rows, ""])


def _splits(data_report: Mapping[str, Any]) -> str:
    counts = (
        f"{split}: {one['num_images']:,} images, {one['num_boxes']:,} boxes, {one['num_categories']} categories"
        for split in SPLITS
        if isinstance(one := data_report.get(split), Mapping)
    )
    return "".join(f"\n  - {each}" for each in counts)


def _file(source: str) -> str:
    """The name of a file or address alone: a card names no machine's folders."""
    return source.rstrip("/").replace("\\", "/").rpartition("/")[2]


def front_matter(facts: Mapping[str, Any]) -> str:
    """The facts as YAML, in their order."""
    text: str = yaml.safe_dump(dict(facts), sort_keys=False, allow_unicode=True)
    return text


def _version() -> str:
    try:
        return f" {version(PACKAGE)}"
    except PackageNotFoundError:
        return ""
