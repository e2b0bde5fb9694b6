"""Where teacher, QAT and CR-QAT find the classes of some images: the paper's figure 4.

Shape letters: B images, N regions, h w cells of the map.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from typing import Any

import torch

from crqat_pipeline.detection_data.evaluation_loader import evaluation_batches
from crqat_pipeline.detection_data.loader_spec import LoaderSpec
from crqat_pipeline.evaluation.similarity_map import class_similarity, spread
from crqat_pipeline.recipes.forms import Source, is_graph, load_form, written
from crqat_pipeline.recipes.specs import EvaluationSpec
from crqat_pipeline.recipes.stage_data import TrainingData
from crqat_pipeline.runtime.device import choose_device

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
