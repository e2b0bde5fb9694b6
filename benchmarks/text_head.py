"""What a linear text head knows of names that it was not fitted on: NanoDet-m on photographs, in full precision.

    pip install --no-deps ./examples/nanodet
    python benchmarks/text_head.py ../shared/data --out text_head.json

Five draws of 15 of the 80 names of COCO are held out, the text head is fitted on the other 65, and all 80 are asked
for; the exact map, fitted on all 80, beside them. Then the same boxes under the names of LVIS: asked for by the 79
counterparts of COCO's names alone, and by all 1203. The table of docs/how_to/run_on_photographs.md.

Shape letters: B images, N regions, K prompts, D embedding, C channels.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from crqat_nanodet.coco_names import COCO_NAMES
from crqat_nanodet.detector import NanoDet, NanoDetSpec
from torch import Tensor
from torch.nn import functional

from crqat_pipeline.detection_data import (
    ImageFolder,
    LoaderSpec,
    evaluation_batches,
    prepare_split,
    restrict_vocabulary,
)
from crqat_pipeline.detection_data.lvis_names import lvis_categories_of, under_lvis_names
from crqat_pipeline.detectors.common.selection import select_detections
from crqat_pipeline.evaluation import evaluate
from crqat_pipeline.evaluation.detection_table import DetectionTable
from crqat_pipeline.recipes.data import EmbeddedVocabulary, embed
from crqat_pipeline.runtime.progress import progress
from crqat_pipeline.structures.vocabulary import TextBank
from crqat_pipeline.text_encoders.table import PrecomputedSpec

NUM_HELD_OUT, SEEDS, EXACT = 15, range(5), "exact"
SIDE_PX, BATCH, THRESHOLD, MAX_DETECTIONS = 416, 16, 0.001, 300
FIGURES = ("AP", "AP_seen", "AP_novel")
PROTOCOLS = {"coco": "coco", "counterparts": "lvis", "lvis": "lvis"}
"""Vocabulary -> protocol that scores it, and whose annotations."""


@dataclass
class Found:
    """Detections of one head under one vocabulary, image by image."""

    image_ids: list[int] = field(default_factory=list)
    labels: list[Tensor] = field(default_factory=list)
    boxes: list[Tensor] = field(default_factory=list)
    scores: list[Tensor] = field(default_factory=list)

    def table(self, category_ids: tuple[int, ...]) -> DetectionTable:
        """In pixels of the original images, x, y, width, height."""
        boxes_M4 = torch.cat(self.boxes).double().numpy()
        xywh_M4 = np.concatenate((boxes_M4[:, :2], boxes_M4[:, 2:] - boxes_M4[:, :2]), axis=1)
        labels_M = np.asarray(category_ids, np.int64)[torch.cat(self.labels).numpy()]
        ids_M = np.repeat(np.asarray(self.image_ids, np.int64), [len(one) for one in self.labels])
        table = DetectionTable(ids_M, labels_M, xywh_M4, torch.cat(self.scores).double().numpy())
        return table.take((xywh_M4[:, 2:] > 0).all(1))


def held_out_names(seed: int) -> tuple[str, ...]:
    """In COCO's order."""
    drawn = set(random.Random(seed).sample(COCO_NAMES, NUM_HELD_OUT))
    return tuple(name for name in COCO_NAMES if name in drawn)


def classifier(detector: NanoDet, texts_KD: Tensor) -> list[tuple[Tensor, Tensor]]:
    """Weight (K, C) and bias (K) per level: what the text head is for these prompts, as one matrix."""
    levels: list[Any] = list(detector.head.levels)
    return [
        (
            texts_KD @ level.embedding.weight[:, :, 0, 0],
            texts_KD @ level.embedding.bias + level.bias,
        )
        for level in levels
    ]


def keep_towers(detector: NanoDet) -> list[Tensor]:
    """A list that every forward pass fills with what the text head reads, (B, N, C) per level."""
    kept: list[Tensor] = []
    levels: list[Any] = list(detector.head.levels)
    for level in levels:
        level.tower.register_forward_hook(lambda _, __, x_BCHW: kept.append(x_BCHW.flatten(2).transpose(1, 2)))
    return kept


@torch.inference_mode()
def detect(
    heads: Mapping[str, NanoDet], vocabularies: Mapping[str, EmbeddedVocabulary], coco: Mapping[str, Any], root: Path
) -> dict[tuple[str, str], Found]:
    """(vocabulary, head) -> what is found; the network runs once for all of them."""
    exact, split = heads[EXACT], prepare_split(coco, keep_images_without_boxes=True)
    texts = {name: functional.normalize(one.text_bank.embeddings_KD, dim=1) for name, one in vocabularies.items()}
    matrices = {(name, head): classifier(heads[head], texts[name]) for name in texts for head in heads}
    found, levels_BNC = {key: Found() for key in matrices}, keep_towers(exact)
    batches = evaluation_batches(split, ImageFolder(root), LoaderSpec(image_size_px=SIDE_PX, batch_size=BATCH))
    for batch in progress(batches, "detect", total=-(-len(split.images) // BATCH), unit="batch"):
        levels_BNC.clear()
        boxes_BN4 = exact(batch.images_B3HW, next(iter(texts.values()))[:1]).boxes_BN4
        for key, matrix in matrices.items():
            parts = [x_BNC @ weight.T + bias for x_BNC, (weight, bias) in zip(levels_BNC, matrix, strict=True)]
            logits_BNK, kept = torch.cat(parts, dim=1), found[key]
            for index, image_id in enumerate(batch.image_ids):
                one = select_detections(logits_BNK[index], boxes_BN4[index], THRESHOLD, MAX_DETECTIONS, exact.selection)
                kept.image_ids.append(image_id)
                kept.labels.append(one.labels_M)
                kept.boxes.append(batch.to_original(index, one.boxes_M4))
                kept.scores.append(one.scores_M)
    return found


def restricted(whole: EmbeddedVocabulary, category_ids: Collection[int]) -> EmbeddedVocabulary:
    """Only these categories as prompts."""
    vocabulary, bank = restrict_vocabulary(whole.vocabulary, category_ids), whole.text_bank
    rows_K = [whole.vocabulary.category_ids.index(number) for number in vocabulary.category_ids]
    prompts = tuple(bank.prompts[row] for row in rows_K)
    return EmbeddedVocabulary(
        vocabulary, TextBank(prompts, bank.embeddings_KD[rows_K], bank.encoder, bank.is_normalized)
    )


def load(folder: Path, bank: EmbeddedVocabulary) -> dict[str, NanoDet]:
    """The exact map, and one fitted without the names of each draw."""
    drawn = {EXACT: ()} | {f"seed {seed}": held_out_names(seed) for seed in SEEDS}
    heads = {name: NanoDet(NanoDetSpec(held_out_names=names)).eval() for name, names in drawn.items()}
    for one in heads.values():
        one.load_weights(folder / "nanodet_m" / "nanodet_m_416.param", bank.text_bank)
    return heads


def splits_of(seed: int, vocabulary: str, truths: Mapping[str, Mapping[str, Any]]) -> dict[str, set[int]]:
    """Category ids of the names held out in this draw, and of the others, in COCO or under LVIS names."""
    coco_id = {category["name"]: int(category["id"]) for category in truths["coco"]["categories"]}
    own = {number: number for number in coco_id.values()}
    if PROTOCOLS[vocabulary] == "lvis":
        own = lvis_categories_of(truths["coco"]["categories"], truths["lvis"]["categories"])
    novel = {own[coco_id[name]] for name in held_out_names(seed) if coco_id[name] in own}
    return {f"novel_{seed}": novel, f"seen_{seed}": set(own.values()) - novel}


def rows(
    found: Mapping[tuple[str, str], Found],
    vocabularies: Mapping[str, EmbeddedVocabulary],
    truths: Mapping[str, Mapping[str, Any]],
) -> Iterator[dict[str, Any]]:
    """One per vocabulary, head and draw, in percent; the exact map is scored on the names of every draw."""
    for (vocabulary, head), one in found.items():
        seeds = [seed for seed in SEEDS if head in (EXACT, f"seed {seed}")]
        splits = {name: ids for seed in seeds for name, ids in splits_of(seed, vocabulary, truths).items()}
        table = one.table(vocabularies[vocabulary].vocabulary.category_ids)
        protocol = PROTOCOLS[vocabulary]
        result = evaluate(truths[protocol], table, protocol, "fast", splits)
        for seed in seeds:
            figures = {"AP": "AP", "AP_seen": f"AP_seen_{seed}", "AP_novel": f"AP_novel_{seed}"}
            values = {name: round(100 * result.metrics[key], 2) for name, key in figures.items()}
            novel = [
                each for each in result.per_category if each.category_id in splits[f"novel_{seed}"] and each.ap > -1
            ]
            of_names = {each.name: round(100 * each.ap, 1) for each in novel}
            yield {"vocabulary": vocabulary, "seed": seed, "fitted": head != EXACT, **values, "of_names": of_names}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path, help="folder of docs/how_to/run_on_photographs.md")
    parser.add_argument("--vocabularies", nargs="+", choices=tuple(PROTOCOLS), default=list(PROTOCOLS))
    parser.add_argument("--num-images", type=int, default=None, help="the first so many only, to try the program")
    parser.add_argument("--out", type=Path, default=None, help="JSON file for the rows")
    arguments = parser.parse_args()
    folder: Path = arguments.photos
    annotations, text = folder / "coco_photos" / "annotations" / "instances_val.json", folder / "text"
    coco = json.loads(annotations.read_text(encoding="utf-8"))
    images = coco["images"][: arguments.num_images]
    known = {image["id"] for image in images}
    coco |= {"images": images, "annotations": [box for box in coco["annotations"] if box["image_id"] in known]}
    lvis = under_lvis_names(coco, json.loads((text / "lvis_v1_categories.json").read_text(encoding="utf-8")))
    truths = {"coco": coco, "lvis": lvis}
    categories = (coco["categories"], lvis["categories"])
    of_coco = PrecomputedSpec(embeddings=text / "coco_clip_vit_b32.npy", names=annotations)
    of_lvis = PrecomputedSpec(embeddings=text / "lvis_v1_clip_vit_b32.npy", names=text / "lvis_v1_categories.json")
    vocabularies = {"coco": embed(coco, of_coco), "lvis": embed(lvis, of_lvis)}
    vocabularies["counterparts"] = restricted(vocabularies["lvis"], lvis_categories_of(*categories).values())
    heads = load(folder, vocabularies["coco"])
    vocabularies = {name: vocabularies[name] for name in arguments.vocabularies}
    made = []
    for row in rows(detect(heads, vocabularies, coco, folder), vocabularies, truths):
        print(json.dumps(row), flush=True)
        made.append(row)
    if arguments.out is not None:
        arguments.out.write_text(json.dumps(made, indent=1), encoding="utf-8")
    print("\n| names asked for | text head | " + " | ".join(FIGURES) + " |\n| --- | --- |" + " --- |" * len(FIGURES))
    for vocabulary in vocabularies:
        for fitted in (False, True):
            chosen = [row for row in made if (row["vocabulary"], row["fitted"]) == (vocabulary, fitted)]
            cells = []
            for name in FIGURES:
                values = [row[name] for row in chosen]
                cells.append(f"{statistics.mean(values):.1f} ± {statistics.stdev(values):.1f}")
            print(f"| {vocabulary} | {'fitted on 65' if fitted else EXACT} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
