"""Several sources as one: unique ids, scopes, folders; what an image of each is asked about."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from crqat_pipeline.detection_data import (
    AnnotationError,
    ImageFileError,
    LoaderSpec,
    PreparedSplit,
    check_annotations,
    prepare_split,
    training_batches,
)
from crqat_pipeline.detection_data.box_columns import BoxColumns
from crqat_pipeline.detection_data.sources import LAYOUTS, SourceFolders, SourceMixture, SourceSpec
from crqat_pipeline.detection_data.sources.layout import SourceLayout
from crqat_pipeline.detection_data.sources.records import SourceRecords
from crqat_pipeline.detection_data.sources.source_files import SourceFiles
from crqat_pipeline.structures.vocabulary import TextBank
from tests.support.published_layouts import BOX, grounding, write_datasets, write_json


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    root = write_datasets(tmp_path_factory.mktemp("datasets"))
    o365 = {"annotations": root / "objects365v2/zhiyuan_objv2_train.json", "images": root / "objects365v2/train"}
    gqa = {"annotations": root / "gqa/final_mixed_train_no_coco.json", "images": root / "gqa/images"}
    return {"o365": SourceSpec(layout="objects365", **o365), "gqa": SourceSpec(layout="grounding", **gqa)}


@pytest.fixture(scope="module")
def mixture(sources):
    return SourceMixture(sources)


@pytest.fixture(scope="module")
def folders(sources):
    return SourceFolders({name: spec.images for name, spec in sources.items()})


@pytest.fixture(scope="module")
def split(mixture):
    present = {box["category_id"] for box in mixture["annotations"]}
    return prepare_split(mixture, present, 12, seed=3)


def bank_of(split: PreparedSplit) -> TextBank:
    """Row k of the names holds k; the padding prompt -1."""
    names = split.vocabulary.names
    values = torch.cat([torch.arange(len(names)).float(), torch.tensor([-1.0])])
    return TextBank((*names, ""), values[:, None], "test", False)


def batches(split, folders, count=3, **options):
    spec = LoaderSpec(**{"batch_size": 4, "image_size_px": 64, "num_prompts": 6, "padding_prompt": "", **options})
    bank = bank_of(split)
    # Names occur in both sources: tell the rows apart by position, as the vocabulary does.
    return list(training_batches(split, folders, bank, split.vocabulary, spec, 5, 0, count))


def test_files_are_read_when_they_are_asked_for(sources):
    lazy = SourceMixture(sources)
    assert not lazy.is_read
    assert len(lazy["images"]) == 12
    assert lazy.is_read


def test_ids_are_unique_and_categories_know_their_source(mixture):
    assert [image["id"] for image in mixture["images"]] == [*range(1, 9), *range(9, 13)]
    assert len({box["id"] for box in mixture["annotations"]}) == 9 + 12
    assert isinstance(mixture["annotations"], BoxColumns)
    assert mixture["annotations"][-1] == {
        "id": 500 + 1 + 11,
        "image_id": 12,
        "category_id": 365 + 1 + 3,
        "bbox": BOX,
        "iscrowd": 0,
    }
    assert [one["scope"] for one in mixture["categories"]] == ["o365"] * 365 + ["gqa"] * 3
    assert mixture["images"][-1]["file_name"] == "gqa/3.jpg"
    assert mixture["info"]["sources"]["gqa"] == {"images": 4, "boxes": 12, "categories": 3, "left_out": {}}


def test_every_image_is_found_in_the_folder_of_its_source(mixture, folders):
    summary = check_annotations(mixture, folders, federated=False, decode_images=True)
    assert (summary.num_images, summary.num_boxes, summary.num_categories) == (12, 21, 368)
    with pytest.raises(ImageFileError, match="must begin with its source, one of o365, gqa"):
        folders.open("coco/1.jpg")


def test_ids_that_leave_no_room_for_another_source_are_refused(sources, tmp_path):
    content = grounding()
    content["annotations"][3]["id"] = 2**63 - 1
    path = write_json(tmp_path / "a.json", content)
    mixed = {**sources, "large": SourceSpec(layout="grounding", annotations=path, images=tmp_path)}
    with pytest.raises(AnnotationError, match=f"large: annotation ids go up to {2**63 - 1}, and behind those"):
        len(SourceMixture(mixed))


def test_the_split_remembers_scopes_and_phrases_in_json(split):
    again = PreparedSplit.model_validate(json.loads(json.dumps(split.model_dump(mode="json"))))
    assert again == split
    assert {(one.scope, one.is_phrase) for one in again.categories} == {("o365", False), ("gqa", True)}


def test_a_split_without_sources_is_written_as_before():
    record = prepare_split(
        {
            "images": [{"id": 1, "file_name": "a", "width": 9, "height": 9}],
            "annotations": [],
            "categories": [{"id": 1, "name": "x"}],
        }
    ).model_dump(mode="json")
    assert record["categories"] == [{"id": 1, "synonyms": ["x"], "splits": []}]


@pytest.mark.parametrize("mosaic", [0.0, 1.0])
def test_images_are_asked_about_their_own_source_only(split, folders, mosaic):
    scope_of = {position: one.scope for position, one in enumerate(split.categories)}
    source_of = {image.id: image.file_name.split("/")[0] for image in split.images}
    seen = set()
    for batch in batches(split, folders, mosaic_probability=mosaic):
        assert batch.text_embeddings.shape == (4, 6, 1)
        for number, texts_K1, target in zip(batch.image_ids, batch.text_embeddings, batch.targets, strict=True):
            asked = [int(value) for value in texts_K1[:, 0]]
            names = split.vocabulary.names
            for one in asked:
                if one >= 0 and names.count(names[one]) == 1:
                    assert scope_of[one] == source_of[number]
            padding = asked.count(-1)
            assert padding == (3 if source_of[number] == "gqa" else 0)  # three phrases in a caption
            assert all(asked[label] >= 0 for label in target.labels_M.tolist())
            seen.add(source_of[number])
    assert seen == {"o365", "gqa"}


def test_phrases_of_other_captions_fill_up_on_request(mixture, folders):
    content = dict(mixture)
    extra = [{"id": 5000 + n, "name": f"other {n}", "scope": "gqa", "is_phrase": True} for n in range(9)]
    content["categories"] = [*content["categories"], *extra]
    present = {one["id"] for one in content["categories"]}
    wide = prepare_split(content, present, 12, seed=3)
    rows = [row for row, image in enumerate(wide.images) if image.file_name.startswith("gqa")]
    gqa = wide.with_images(wide.images.take(rows))
    (own,) = batches(gqa, folders, 1)
    (filled,) = batches(gqa, folders, 1, phrase_negatives="others")
    assert (own.text_embeddings == -1).sum(1).flatten().tolist() == [3] * 4
    assert (filled.text_embeddings == -1).sum() == 0


def test_batches_depend_on_the_step_only(split, folders):
    spec = LoaderSpec(batch_size=4, image_size_px=64, num_prompts=6, padding_prompt="", mosaic_probability=0.5)
    bank = bank_of(split)
    arguments = (split, folders, bank, split.vocabulary, spec, 5)
    whole, resumed = list(training_batches(*arguments, 0, 3)), list(training_batches(*arguments, 2, 1))
    assert torch.equal(whole[2].images_B3HW, resumed[0].images_B3HW)
    assert torch.equal(whole[2].text_embeddings, resumed[0].text_embeddings)


def test_loaders_that_cannot_keep_sources_apart_are_refused(split, folders):
    with pytest.raises(ValueError, match="need prompt_scope: image; got batch"):
        batches(split, folders, prompt_scope="batch")
    with pytest.raises(ValueError, match="set padding_prompt to fill up"):
        batches(split, folders, padding_prompt=None)


def test_names_of_sources_are_checked(sources):
    with pytest.raises(ValueError, match=r"without a slash, at least one; got \['a/b'\]"):
        SourceMixture({"a/b": sources["gqa"]})
    with pytest.raises(ValueError, match="at least one folder"):
        SourceFolders({})


def test_positives_are_never_left_out_for_negatives(split):
    assert np.unique([len(image.category_ids) for image in split.images]).tolist() == [1, 3]


def test_an_unknown_layout_is_refused_with_the_table() -> None:
    with pytest.raises(ValueError, match=r"Unknown source layout 'objects356'\. Did you mean 'objects365'\?"):
        SourceSpec(layout="objects356", annotations=Path("a.json"), images=Path("b"))


def test_a_row_that_is_added_is_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def read_names(source: str, files: SourceFiles, layout: SourceLayout) -> SourceRecords:
        image = {"id": 1, "file_name": "a.jpg", "width": 8, "height": 8}
        box = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [0, 0, 4, 4], "iscrowd": 0}
        return SourceRecords([image], [box], [{"id": 1, "name": f"{source} {layout.meaning}"}])

    rows = {**LAYOUTS, "own": SourceLayout("of a user", read_names, num_images=1)}
    for module in ("spec", "table"):
        monkeypatch.setattr(f"crqat_pipeline.detection_data.sources.{module}.LAYOUTS", rows)
    mixture = SourceMixture({"mine": SourceSpec(layout="own", annotations=tmp_path / "a.json", images=tmp_path)})
    assert mixture["categories"] == [{"id": 1, "name": "mine of a user", "scope": "mine"}]
