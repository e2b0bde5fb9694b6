"""What `crqat new` writes and refuses; nothing is written when it refuses."""

import json
import re
import shutil

import pytest
import yaml

from crqat_pipeline.detection_data.annotation_faults import AnnotationError
from crqat_pipeline.own_data import OwnDataRequest, make_environment
from crqat_pipeline.recipes.embedding import TextSource
from tests.support.own_photographs import NAMES, write_photographs


@pytest.fixture
def photos(tmp_path):
    return write_photographs(tmp_path / "photos")


@pytest.fixture
def home(tmp_path):
    (tmp_path / "home" / "conf" / "base").mkdir(parents=True)
    return tmp_path / "home"


def wish(photos, name="lamps", **changes):
    text = TextSource(embeddings=photos / "words.npy", names=photos / "words.json")
    given = {"images": photos / "images", "annotations": photos / "train.json", "text": text, **changes}
    return OwnDataRequest(**{"name": name, **given})


def written(home, name="lamps"):
    folder = home / "conf" / name
    return {path.stem: yaml.safe_load(path.read_text(encoding="utf-8")) for path in folder.iterdir()}


def read(path):
    return json.loads(path.read_text(encoding="utf-8"))


def test_a_folder_of_photographs_becomes_an_environment(photos, home):
    made = make_environment(wish(photos), home)
    files = written(home)
    assert set(files) == {"catalog", "globals", "mlflow", "parameters"}
    assert files["globals"]["data_root"] == "data/lamps"
    entries = files["catalog"]
    assert entries["val_annotations_lvis"] == {"given": True, "optional": True, "filepath": None}
    train, val = (read(home / f"data/lamps/01_raw/annotations/{split}.json") for split in ("train", "val"))
    assert entries["qat_annotations"]["filepath"].endswith("data/lamps/01_raw/annotations/train.json")
    assert (len(train["images"]), len(val["images"])) == (10, 2)
    assert [one["name"] for one in val["categories"]] == list(NAMES)
    parameters = files["parameters"]
    assert parameters["detector"] == {"name": "yolo_world_open_shapes", "options": {"embedding_dim": 64}}
    assert parameters["data_prep"]["text_encoders"]["words"]["name"] == "precomputed"
    assert parameters["teacher"]["optimization"]["num_steps"] == 400
    text = "\n".join(made.notes)
    for part in (
        "split by class with seed 0",
        "prompts: red lamp, stray cat, tin can",
        "from scratch on 10 photographs",
    ):
        assert part in text
    assert made.missing == ()


def test_a_validation_file_is_read_where_it_lies_and_joined_by_name(photos, home, tmp_path):
    other = write_photographs(tmp_path / "val", num_images=4, seed=1)
    make_environment(wish(photos, val=other / "train.json", val_images=other / "images"), home)
    entries = written(home)["catalog"]
    assert entries["train_annotations"]["filepath"] == (photos / "train.json").as_posix()
    assert entries["val_annotations"]["filepath"] == (other / "train.json").as_posix()
    assert not (home / "data").exists()
    content = read(other / "train.json")
    content["categories"] = [{"id": 7, "name": "stray cat"}, {"id": 8, "name": "red lamp"}]
    content["annotations"] = [{**box, "category_id": 7} for box in content["annotations"]]
    (other / "train.json").write_text(json.dumps(content), encoding="utf-8")
    made = make_environment(wish(photos, "joined", val=other / "train.json", val_images=other / "images"), home)
    assert "joined by name" in "\n".join(made.notes)
    val = read(home / "data/joined/01_raw/annotations/val.json")
    assert {one["name"]: one["id"] for one in val["categories"]} == {"red lamp": 1, "stray cat": 2, "tin can": 3}
    assert {box["category_id"] for box in val["annotations"]} == {2}


def test_faulty_records_are_refused_together_and_nothing_is_written(photos, home):
    content = read(photos / "train.json")
    content["annotations"][0]["category_id"] = 99
    content["images"][1]["width"] = None
    (photos / "train.json").write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(AnnotationError, match="category 99") as told:
        make_environment(wish(photos), home)
    assert "width is null" in str(told.value)
    assert [path.name for path in home.iterdir()] == ["conf"]
    assert [path.name for path in (home / "conf").iterdir()] == ["base"]


def test_an_image_that_is_not_there_is_told(photos, home):
    (photos / "images" / "003.png").unlink()
    with pytest.raises(AnnotationError, match=r"003\.png"):
        make_environment(wish(photos), home)


def test_a_word_without_an_embedding_is_told_with_the_nearest(photos, home):
    content = read(photos / "train.json")
    content["categories"][1]["name"] = "stray cats"
    (photos / "train.json").write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(ValueError, match=r"'stray cats' \(nearest: 'stray cat'"):
        make_environment(wish(photos), home)


def test_without_embeddings_clip_is_named_with_what_is_missing(photos, home, monkeypatch):
    monkeypatch.setattr("crqat_pipeline.own_data.prompts.local_clip_weights", lambda *_: None)
    made = make_environment(wish(photos, text=TextSource()), home)
    assert "--text-encoder FILE, or --embeddings FILE" in made.missing[0]
    parameters = written(home)["parameters"]
    assert parameters["data_prep"]["text_encoders"]["words"]["name"] == "open_clip"
    assert parameters["detector"]["options"] == {"embedding_dim": 512}


def test_an_environment_of_somebody_else_is_never_replaced(photos, home):
    make_environment(wish(photos), home)
    with pytest.raises(ValueError, match="is there already"):
        make_environment(wish(photos), home)
    make_environment(wish(photos, num_steps=30), home, replace=True)
    assert written(home)["parameters"]["curriculum"]["train"]["optimization"]["num_steps"] == 30
    (home / "conf" / "lamps" / "globals.yml").write_text("data_root: data/lamps\n")
    with pytest.raises(ValueError, match="was not made by"):
        make_environment(wish(photos), home, replace=True)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"name": "base"}, "and not base or local"),
        ({"name": "My data"}, "small letters"),
        ({"image_size_px": 100}, "multiple of 32 px; got 100. Use 128"),
        ({"detector": "yolo_word_s"}, "Did you mean 'yolo_world_s'"),
        ({"weights": "gone.pt"}, "No weights at gone.pt"),
        ({"weights": "hf://a/b/c.pt"}, "Name it: --detector"),
        ({"val_share": 0.01}, "leaves one empty"),
    ],
)
def test_wishes_that_do_not_fit_are_refused(photos, home, changes, text):
    with pytest.raises(ValueError, match=re.escape(text)):
        make_environment(wish(photos, **changes), home)
    assert not (home / "data").exists()


def test_without_a_project_nothing_is_written(photos, home):
    shutil.rmtree(home / "conf")
    with pytest.raises(ValueError, match=r"no conf/base in"):
        make_environment(wish(photos), home)
