import json
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
from pydantic import TypeAdapter
from safetensors.torch import save_file

from crqat_pipeline.structures.vocabulary import Vocabulary
from crqat_pipeline.text_encoders import (
    TEXT_ENCODERS,
    TextEncoderSpec,
    bank_of_names,
    build_text_encoder,
)

VOCABULARY = Vocabulary(("cat", "dog"), (4, 9), (("cat", "kitten"), ("dog",)))
TINY = {
    "embed_dim": 8,
    "quick_gelu": True,
    "vision_cfg": {"image_size": 32, "layers": 1, "width": 32, "head_width": 16, "patch_size": 16},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1},
}


@pytest.fixture(params=sorted(TEXT_ENCODERS))
def row(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, dict[str, Any]]:
    name = request.param
    if name == "composed":
        return name, {"words": ["cat", "kitten", "dog"], "embedding_dim": 8}
    if name == "precomputed":
        np.save(tmp_path / "text.npy", np.random.default_rng(0).normal(size=(2, 8)))
        (tmp_path / "names.json").write_text(json.dumps([["cat", "kitten"], "dog"]))
        return name, {"embeddings": tmp_path / "text.npy", "names": str(tmp_path / "names.json")}
    if name == "omdet_turbo":
        pytest.importorskip("transformers", reason="the extra omdet is not installed")
        from tests.support.published_omdet import released_model

        released_model(embedding_dim=8).save_pretrained(tmp_path / "omdet")
        return name, {"source": str(tmp_path / "omdet")}
    assert name == "open_clip", "give this row of the table its options"
    (tmp_path / "tiny-crqat-table.json").write_text(json.dumps(TINY))
    open_clip.add_model_config(tmp_path / "tiny-crqat-table.json")
    model = open_clip.create_model("tiny-crqat-table", pretrained_text=False)
    save_file(dict(model.state_dict()), tmp_path / "tiny.safetensors")
    return name, {"model_name": "tiny-crqat-table", "pretrained": str(tmp_path / "tiny.safetensors")}


def test_every_row_keeps_the_contract(row: tuple[str, dict[str, Any]], tmp_path: Path) -> None:
    name, options = row
    encoder = build_text_encoder(name, **options)
    names = bank_of_names(encoder, VOCABULARY)
    assert names.prompts == ("cat", "dog")
    assert names.embeddings_KD.shape == (2, 8) == (2, encoder.embedding_dim)
    assert names.embeddings_KD.dtype == torch.float32
    assert not names.embeddings_KD.requires_grad
    assert names.is_normalized == encoder.is_normalizing
    if names.is_normalized:
        assert torch.allclose(names.embeddings_KD.norm(dim=-1), torch.ones(2), atol=1e-6)
    assert names.encoder == encoder.name
    swapped = encoder.encode(["dog", "cat"])
    assert torch.allclose(swapped.embeddings_KD.flip(0), names.embeddings_KD, atol=1e-6)
    with pytest.raises(ValueError, match="at least one prompt"):
        encoder.encode([])
    cached = build_text_encoder(name, cache_folder=tmp_path / "cache", **options)
    assert torch.equal(cached.encode(["cat", "dog"]).embeddings_KD, names.embeddings_KD)
    assert len(list((tmp_path / "cache").iterdir())) == 1


def test_a_spec_builds_the_same_encoder(row: tuple[str, dict[str, Any]]) -> None:
    name, options = row
    spec = TypeAdapter(TextEncoderSpec).validate_python({"name": name, **options})
    assert spec.build().name == build_text_encoder(name, **options).name


def test_a_padding_prompt_is_the_last_row() -> None:
    encoder = build_text_encoder("composed", words=["cat", "kitten", "dog"])
    assert bank_of_names(encoder, VOCABULARY, "").prompts == ("cat", "dog", "")


def test_unknown_names_and_options_are_refused() -> None:
    with pytest.raises(ValueError, match=r"Unknown text encoder 'open_clp'\. Did you mean 'open_clip'\?"):
        build_text_encoder("open_clp")
    with pytest.raises(
        ValueError,
        match=r"'composed' was given wrong options: words: field required; dim: .*Options: words, embedding_dim, seed",
    ):
        build_text_encoder("composed", dim=3)
