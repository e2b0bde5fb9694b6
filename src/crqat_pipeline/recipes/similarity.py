"""Where teacher, QAT and CR-QAT find the classes of some images: the paper's figure 4.

Shape letters: B images, N regions, h w cells of the map.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any

import torch
from PIL import Image

from crqat_pipeline.detection_data.evaluation_loader import evaluation_batches
from crqat_pipeline.detection_data.image_folder import ImageFolder
from crqat_pipeline.detection_data.letterbox import letterbox
from crqat_pipeline.detection_data.loader_spec import LoaderSpec
from crqat_pipeline.evaluation.heat_map import class_similarity, heat_map_picture, spread
from crqat_pipeline.evaluation.report_data import HeatMapRow
from crqat_pipeline.recipes.forms import Source, is_graph, load_form, written
from crqat_pipeline.recipes.specs import EvaluationSpec
from crqat_pipeline.recipes.stage_data import TrainingData
from crqat_pipeline.runtime.device import choose_device

PICTURE_PX = 448
DIGITS = 4
Maps = dict[str, Any]
"""image_size_px; images: file_name, its classes, and form -> rows of the map (similarity of each cell)."""


@torch.inference_mode()
def similarity_maps(sources: Mapping[str, Source], data: TrainingData, spec: EvaluationSpec, device_name: str) -> Maps:
    """The first `spec.heat_map_images` images that have objects: cosine of each place with the nearest of the classes
    annotated there, by each form. A graph tells no embeddings and is left out."""
    device = choose_device(device_name)
    column = {category_id: k for k, category_id in enumerate(data.vocabulary.category_ids)}
    images = data.split.images
    with_classes = (row for row, image in enumerate(images) if column.keys() & image.category_ids)
    chosen = images.take(list(islice(with_classes, spec.heat_map_images)))
    part = data.split.with_images(chosen)
    classes = [sorted(column[one] for one in column.keys() & image.category_ids) for image in chosen]
    entries: list[Maps] = [
        {"file_name": image.file_name, "classes": [data.vocabulary.names[k] for k in prompts], "forms": {}}
        for image, prompts in zip(chosen, classes, strict=True)
    ]
    texts_KD = data.text_bank.embeddings_KD.to(device)
    loader = LoaderSpec(image_size_px=spec.image_size_px, batch_size=1)
    for form, source in written(sources).items():
        if is_graph(source):
            continue
        detector = load_form(source).to(device)
        for batch, entry, prompts in zip(evaluation_batches(part, data.images, loader), entries, classes, strict=True):
            output = detector(batch.images_B3HW.to(device), texts_KD)
            similarity_N = class_similarity(output, 0, prompts).cpu()
            centres_N2, side_px = detector.region_centres(output)[0].cpu(), spec.image_size_px
            map_hw = spread(similarity_N, centres_N2, side_px, side_px, detector.level_strides())
            entry["forms"][form] = [[round(value, DIGITS) for value in row] for row in map_hw.tolist()]
    return {"image_size_px": spec.image_size_px, "images": entries}


def colour_range(maps: Maps) -> tuple[float, float]:
    """The lowest and the highest similarity of all forms and images: one scale for all; (-1, 1) without any."""
    if not maps["images"]:
        return -1.0, 1.0
    values = torch.cat([_map(rows).flatten() for entry in maps["images"] for rows in entry["forms"].values()])
    values = values[values.isfinite()]
    low, high = float(values.min()), float(values.max())
    return low, max(high, low + 10**-DIGITS)


def heat_map_rows(maps: Maps, images: ImageFolder, labels: Mapping[str, str]) -> Sequence[HeatMapRow]:
    """The image itself, then one picture per form, all on one scale of colours."""
    return [_row(entry, maps, images.open(entry["file_name"]), labels) for entry in maps["images"]]


def _row(entry: Maps, maps: Maps, image: Image.Image, labels: Mapping[str, str]) -> HeatMapRow:
    low, high = colour_range(maps)
    fitted, geometry = letterbox(image, maps["image_size_px"])
    left, top = geometry.left, geometry.top
    right, bottom = left + round(image.width * geometry.scale_x), top + round(image.height * geometry.scale_y)
    scale = max(1, PICTURE_PX // fitted.width)
    crop = (left * scale, top * scale, right * scale, bottom * scale)
    content = fitted.crop((left, top, right, bottom))  # before it grows: the grey around it would seep in
    content = content.resize((content.width * scale, content.height * scale), Image.Resampling.LANCZOS)
    large = Image.new("RGB", (fitted.width * scale, fitted.height * scale))
    large.paste(content, crop[:2])
    pictures = {"Image": content}
    for form, rows in entry["forms"].items():
        pictures[labels[form]] = heat_map_picture(large, _map(rows), low, high).crop(crop)
    return HeatMapRow(f"{entry['file_name']}: {', '.join(entry['classes'])}", pictures)


def _map(rows: Sequence[Sequence[float | None]]) -> torch.Tensor:
    return torch.tensor([[float("nan") if value is None else value for value in row] for row in rows])
