import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from crqat_pipeline.structures.category_name import prompt_names
from crqat_pipeline.text_encoders.embedding_file import read_embeddings, read_row_names
from crqat_pipeline.text_encoders.precomputed import PrecomputedTextEncoder

SHARED = Path(__file__).parents[4] / "shared" / "data"
needs_shared = pytest.mark.skipif(not SHARED.is_dir(), reason="the shared text embeddings are not beside the project")

CATEGORIES = [
    {"id": 1, "name": "bow_(weapon)", "synonyms": ["bow_(weapon)"]},
    {"id": 2, "name": "bow_(ribbon)", "synonyms": ["bow_(ribbon)", "hair_ribbon"]},
    {"id": 3, "name": "sofa", "synonyms": ["sofa", "couch", "bow"]},
]
VALUES = np.array([[3.0, 4.0], [0.0, 2.0], [-5.0, 0.0]], dtype=np.float16)


def write(folder: Path, names: Any = CATEGORIES, values: np.ndarray = VALUES) -> tuple[Path, Path]:
    np.save(folder / "text.npy", values)
    (folder / "names.json").write_text(json.dumps(names))
    return folder / "text.npy", folder / "names.json"


def test_names_synonyms_and_spellings_are_found(tmp_path: Path) -> None:
    encoder = PrecomputedTextEncoder(*write(tmp_path), normalize=False)
    prompts = ["sofa", "Couch", "bow", "bow_(ribbon)", "hair ribbon", "BOW (weapon)"]
    bank = encoder.encode(prompts)
    assert bank.embeddings_KD.tolist() == VALUES[[2, 2, 0, 1, 1, 0]].astype(float).tolist()
    assert bank.embeddings_KD.dtype == torch.float32
    assert not bank.is_normalized


def test_rows_are_normalized_on_request(tmp_path: Path) -> None:
    bank = PrecomputedTextEncoder(*write(tmp_path)).encode(["bow", "sofa"])
    assert bank.embeddings_KD.tolist() == pytest.approx(np.array([[0.6, 0.8], [-1.0, 0.0]]))
    assert bank.is_normalized


@pytest.mark.parametrize(
    "names",
    [
        ["cat", "dog", "owl"],
        [["cat", "kitten"], ["dog"], ["owl"]],
        {"categories": [{"id": 9, "name": "owl"}, {"id": 2, "name": "cat"}, {"id": 5, "name": "dog"}]},
    ],
)
def test_names_come_in_several_forms(tmp_path: Path, names: Any) -> None:
    encoder = PrecomputedTextEncoder(*write(tmp_path, names), normalize=False)
    assert encoder.encode(["owl", "cat", "dog"]).embeddings_KD.tolist() == VALUES[[2, 0, 1]].astype(float).tolist()


def test_safetensors_serve_too(tmp_path: Path) -> None:
    _, names = write(tmp_path)
    save_file({"embeddings": torch.from_numpy(VALUES)}, tmp_path / "text.safetensors")
    encoder = PrecomputedTextEncoder(tmp_path / "text.safetensors", names)
    assert encoder.embedding_dim == 2


def test_the_name_follows_the_content(tmp_path: Path) -> None:
    first = PrecomputedTextEncoder(*write(tmp_path)).name
    assert first == PrecomputedTextEncoder(*write(tmp_path)).name
    assert first != PrecomputedTextEncoder(*write(tmp_path, values=VALUES + 1)).name


def test_missing_prompts_are_refused_with_the_nearest_names(tmp_path: Path) -> None:
    encoder = PrecomputedTextEncoder(*write(tmp_path))
    with pytest.raises(ValueError, match=r"no embedding for 2 of 3 prompts:\n  - 'sofas' \(nearest: 'sofa'") as caught:
        encoder.encode(["sofa", "sofas", ""])
    assert "  - ''\n" in str(caught.value)


@pytest.mark.parametrize(
    ("values", "names", "message"),
    [
        (VALUES[:2], CATEGORIES, "has 2 rows, but .* names 3"),
        (VALUES[0], ["cat", "dog"], r"must be \(prompts, dim\); got \(2,\)"),
        (np.full_like(VALUES, np.inf), CATEGORIES, "must be finite; 3 of 3"),
        (np.array([["a"]]), ["cat"], "one array of floats"),
        (VALUES, [1, 2, 3], "A row's names must be"),
        (VALUES, "cat", "must hold a list"),
    ],
)
def test_files_that_do_not_fit_are_refused(tmp_path: Path, values: Any, names: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PrecomputedTextEncoder(*write(tmp_path, names, values))


def test_pickles_and_other_files_are_refused(tmp_path: Path) -> None:
    embeddings, names = write(tmp_path)
    np.save(tmp_path / "objects.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    for name, message in (
        ("objects.npy", "not a readable array"),
        ("text.pt", r"\.npy or \.safetensors"),
        ("gone.npy", "does not exist"),
    ):
        with pytest.raises(ValueError, match=message):
            PrecomputedTextEncoder(tmp_path / name, names)
    (tmp_path / "bad.safetensors").write_bytes(b"x")
    with pytest.raises(ValueError, match="not a readable safetensors file"):
        PrecomputedTextEncoder(tmp_path / "bad.safetensors", names)
    (tmp_path / "bad.json").write_text("[")
    with pytest.raises(ValueError, match="must be JSON"):
        PrecomputedTextEncoder(embeddings, tmp_path / "bad.json")


@needs_shared
def test_lvis_embeddings_follow_category_order() -> None:
    names = SHARED / "text" / "lvis_v1_categories.json"
    encoder = PrecomputedTextEncoder(SHARED / "text" / "lvis_v1_clip_vit_b32.npy", names, normalize=False)
    prompts = [prompt_names(category)[0] for category in json.loads(names.read_text())]
    assert (len(prompts), len(set(prompts)), encoder.embedding_dim) == (1203, 1198, 512)
    expected_KD = torch.from_numpy(np.load(SHARED / "text" / "lvis_v1_clip_vit_b32.npy").astype(np.float32))
    rows_K = [prompts.index(prompt) for prompt in prompts]
    assert torch.equal(encoder.encode(prompts).embeddings_KD, expected_KD[rows_K])


@needs_shared
def test_coco_names_come_from_the_annotation_file() -> None:
    annotations = SHARED / "coco_mini" / "annotations" / "instances_val.json"
    encoder = PrecomputedTextEncoder(SHARED / "text" / "coco_clip_vit_b32.npy", annotations)
    bank_KD = encoder.encode(["dog", "cat", "toaster"]).embeddings_KD
    similarity_KK = bank_KD @ bank_KD.T
    assert similarity_KK[0, 1] > similarity_KK[0, 2]


HEADERS = [
    "(3000000000, 400000)",
    "(-3, 4)",
    "((3,), 4)",
    "(3, True)",
    "(3.0, 4)",
    "(",
    "(3, 4",
    "'x'",
    "None",
    "[3, 4]",
]


@pytest.mark.parametrize("shape", HEADERS)
def test_whatever_stands_in_the_header_of_an_array_is_a_sentence(tmp_path, shape):
    header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    (tmp_path / "e.npy").write_bytes(b"\x93NUMPY\x01\x00v\x00" + header.encode() + bytes(48))
    with pytest.raises(ValueError, match=r"e\.npy"):
        read_embeddings(tmp_path / "e.npy")


@pytest.mark.parametrize("names", [[{"name": "a", "synonyms": 3}], [{"synonyms": 1.5}], [3], [None], [[]], [["a", 1]]])
def test_names_that_are_none_are_a_sentence(tmp_path, names):
    (tmp_path / "n.json").write_text(json.dumps(names))
    with pytest.raises(ValueError, match=r"n\.json|row's names"):
        read_row_names(tmp_path / "n.json")
