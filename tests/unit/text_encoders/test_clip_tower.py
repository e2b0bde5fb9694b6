from pathlib import Path

import open_clip
import pytest
import torch
from safetensors.torch import save_file

from crqat_pipeline.text_encoders.clip_tower import ClipTextEncoder, load_clip_text_encoder
from crqat_pipeline.text_encoders.protocol import TextEncoder
from tests.support.tiny_clip import make_tiny_clip

PROMPTS = ["person", "a red Bicycle", ""]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> open_clip.CLIP:
    return make_tiny_clip(tmp_path_factory.mktemp("configs"))


def reference_KD(model: open_clip.CLIP) -> torch.Tensor:
    with torch.no_grad():
        return model.eval().encode_text(open_clip.get_tokenizer("tiny-crqat-test")(PROMPTS), normalize=True)


def encoder_of(model: open_clip.CLIP) -> ClipTextEncoder:
    return ClipTextEncoder(model, open_clip.get_tokenizer("tiny-crqat-test"), "given")


def hugging_face_names(model: open_clip.CLIP) -> dict[str, torch.Tensor]:
    """The text tensors of an open_clip model under Hugging Face's names, written out by hand."""
    state, layers = model.state_dict(), {}
    for layer in range(2):
        ours, theirs = f"transformer.resblocks.{layer}.", f"text_model.encoder.layers.{layer}."
        for kind in ("weight", "bias"):
            q, k, v = state[f"{ours}attn.in_proj_{kind}"].chunk(3)
            for name, part in (("q", q), ("k", k), ("v", v)):
                layers[f"{theirs}self_attn.{name}_proj.{kind}"] = part.clone()
            for old, new in (
                ("attn.out_proj", "self_attn.out_proj"),
                ("ln_1", "layer_norm1"),
                ("ln_2", "layer_norm2"),
                ("mlp.c_fc", "mlp.fc1"),
                ("mlp.c_proj", "mlp.fc2"),
            ):
                layers[f"{theirs}{new}.{kind}"] = state[f"{ours}{old}.{kind}"]
    return layers | {
        "text_model.embeddings.token_embedding.weight": state["token_embedding.weight"],
        "text_model.embeddings.position_embedding.weight": state["positional_embedding"],
        "text_model.final_layer_norm.weight": state["ln_final.weight"],
        "text_model.final_layer_norm.bias": state["ln_final.bias"],
        "text_projection.weight": state["text_projection"].T.contiguous(),
    }


def test_a_given_model_is_used_as_it_is(tiny: open_clip.CLIP) -> None:
    encoder: TextEncoder = encoder_of(tiny)
    bank = encoder.encode(PROMPTS)
    assert torch.equal(bank.embeddings_KD, reference_KD(tiny))
    assert (encoder.embedding_dim, bank.encoder, bank.is_normalized) == (24, "given", True)
    assert not bank.embeddings_KD.is_inference()


@pytest.mark.parametrize("form", ["full.safetensors", "full.pt", "hugging_face.safetensors", "text_tower.pt"])
def test_checkpoints_of_every_form_give_the_same_embeddings(tiny: open_clip.CLIP, tmp_path: Path, form: str) -> None:
    full = dict(tiny.state_dict())
    tensors = {
        "full": full,
        "hugging_face": hugging_face_names(tiny),
        "text_tower": {f"text.{name}": tensor for name, tensor in full.items() if not name.startswith("visual.")},
    }[form.partition(".")[0]]
    path = tmp_path / form
    if path.suffix == ".pt":
        torch.save({"state_dict": tensors}, path)
    else:
        save_file(tensors, path)
    encoder = load_clip_text_encoder("tiny-crqat-test", str(path))
    assert torch.allclose(encoder.encode(PROMPTS).embeddings_KD, reference_KD(tiny), atol=1e-6)
    assert encoder.name.startswith(f"open_clip:tiny-crqat-test:{form}:")


def test_quick_gelu_is_on_by_default_and_matters(tiny: open_clip.CLIP, tmp_path: Path) -> None:
    save_file(dict(tiny.state_dict()), tmp_path / "a.safetensors")
    plain = load_clip_text_encoder("tiny-crqat-test", str(tmp_path / "a.safetensors"), quick_gelu=False)
    assert not torch.allclose(plain.encode(PROMPTS).embeddings_KD, reference_KD(tiny), atol=1e-4)
    assert plain.name.endswith(":gelu")


def test_many_prompts_equal_single_ones(tiny: open_clip.CLIP) -> None:
    encoder = encoder_of(tiny)
    many = encoder.encode([f"thing {number}" for number in range(300)]).embeddings_KD
    assert torch.allclose(many[299], encoder.encode(["thing 299"]).embeddings_KD[0], atol=1e-6)


def test_prompts_that_do_not_fit_are_refused(tiny: open_clip.CLIP) -> None:
    encoder = encoder_of(tiny)
    encoder.encode(["cat " * 75])
    with pytest.raises(ValueError, match="has 78 tokens with start and end; the text tower takes 77"):
        encoder.encode(["dog", "cat " * 76])


def test_weights_that_do_not_fit_are_refused(tiny: open_clip.CLIP, tmp_path: Path) -> None:
    state = dict(tiny.state_dict())
    state.pop("ln_final.bias")
    state["positional_embedding"] = torch.zeros(50, 16)
    save_file(state, tmp_path / "a.safetensors")
    with pytest.raises(ValueError, match=r"1 tensors missing \['ln_final\.bias'\], 1 of another shape"):
        load_clip_text_encoder("tiny-crqat-test", str(tmp_path / "a.safetensors"))
    (tmp_path / "b.pt").write_bytes(b"not a checkpoint")
    with pytest.raises(ValueError, match="is not a checkpoint of plain tensors"):
        load_clip_text_encoder("tiny-crqat-test", str(tmp_path / "b.pt"))


def test_a_checkpoint_that_asks_for_code_is_refused(tmp_path: Path, tiny: open_clip.CLIP) -> None:
    class Call:
        def __reduce__(self) -> tuple[object, tuple[str, ...]]:
            return (print, ("executed",))

    torch.save({"state_dict": Call()}, tmp_path / "call.pt")
    with pytest.raises(ValueError, match="is not a checkpoint of plain tensors"):
        load_clip_text_encoder("tiny-crqat-test", str(tmp_path / "call.pt"))


def test_unknown_models_and_weights_are_refused(tiny: open_clip.CLIP) -> None:
    with pytest.raises(ValueError, match="no model 'ViT-B-33'"):
        load_clip_text_encoder("ViT-B-33", "openai")
    with pytest.raises(ValueError, match=r"neither a file nor a weights tag of 'ViT-B-32-quickgelu'\. Tags: .*openai"):
        load_clip_text_encoder(pretrained="opnai")


def test_offline_the_manual_way_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(OSError, match=r"Could not get the weights 'openai' .* give the file as `pretrained`"):
        load_clip_text_encoder()
