"""Whatever is wrong with an annotation file is said in words: by the reader of training, and by `crqat evaluate`."""

import json

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from crqat_pipeline.cli.evaluate import command
from crqat_pipeline.detection_data.annotation_faults import AnnotationError
from crqat_pipeline.detection_data.annotation_file import AnnotationFile
from tests.support.damaged_json import damaged

COCO = {
    "images": [{"id": n, "file_name": f"{n}.jpg", "width": 64, "height": 48} for n in (1, 2)],
    "annotations": [
        {
            "id": n,
            "image_id": 1 + n % 2,
            "category_id": 1 + n % 3,
            "bbox": [4, 5, 20, 10],
            "area": 200,
            "iscrowd": n % 2,
        }
        for n in range(4)
    ],
    "categories": [{"id": n, "name": name} for n, name in enumerate(("cat", "red dog", "lamp"), 1)],
}
LVIS = COCO | {
    "images": [one | {"neg_category_ids": [3], "not_exhaustive_category_ids": []} for one in COCO["images"]],
    "categories": [
        one | {"synset": "x.n.01", "synonyms": [one["name"]], "frequency": "r"} for one in COCO["categories"]
    ],
}
SEEDS = st.integers(0, 2**32)


@pytest.mark.parametrize("document", [COCO, LVIS], ids=["coco", "lvis"])
@given(seed=SEEDS)
@settings(max_examples=80, deadline=None)
def test_the_reader_takes_a_file_or_says_what_is_wrong(document, seed):
    file = AnnotationFile(damaged(document, seed), "file.json")
    if file.faults:
        with pytest.raises(AnnotationError, match=r"file\.json"):
            file["images"]
    else:
        assert all(isinstance(file[section], list) for section in COCO)


@pytest.mark.parametrize(("protocol", "document"), [("coco", COCO), ("lvis", LVIS)])
@given(seed=SEEDS)
@settings(max_examples=25, deadline=None)
def test_evaluate_ends_in_figures_or_a_sentence(tmp_path_factory, protocol, document, seed):
    folder = tmp_path_factory.mktemp("damaged")
    (folder / "truth.json").write_text(json.dumps(damaged(document, seed)))
    (folder / "found.json").write_text(
        json.dumps([{"image_id": 1, "category_id": 1, "bbox": [4, 5, 20, 10], "score": 0.9}])
    )
    arguments = ["--gt", folder / "truth.json", "--detections", folder / "found.json", "--protocol", protocol]
    result = CliRunner().invoke(command, [*map(str, arguments), "--processes", "1"])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
