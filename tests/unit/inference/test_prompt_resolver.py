import json

import pytest
import torch
from fixed_model import FixedModel
from safetensors.torch import save_file

from crqat_pipeline.inference.prompt_resolver import PromptResolver, check_prompts, split_prompts
from crqat_pipeline.inference.runnable import ModelFacts
from crqat_pipeline.model_files.text_bank_file import find_text_banks, read_text_bank
from crqat_pipeline.structures.vocabulary import TextBank


def stored_bank(path, prompts, dim=4, encoder="open_clip:X:y:gelu"):
    header = {"prompts": prompts, "encoder": encoder, "is_normalized": True}
    save_file({"embeddings_KD": torch.full((len(prompts), dim), dim**-0.5)}, path, {"crqat": json.dumps(header)})
    return path


def test_prompts_of_a_text():
    assert split_prompts(" red lamp, stray cat ,red lamp") == ("red lamp", "stray cat")


@pytest.mark.parametrize("text", ["", "a,,b", " , "])
def test_empty_prompts_are_refused(text):
    with pytest.raises(ValueError, match="must be texts that name something"):
        split_prompts(text)


def test_a_text_in_place_of_a_list_is_refused():
    with pytest.raises(ValueError, match=r"Write \['cat'\]"):
        check_prompts("cat")


def test_a_prompt_without_embedding_says_what_is_at_hand(tmp_path):
    files = {"lvis": stored_bank(tmp_path / "lvis_text_bank.safetensors", ["bow"])}
    resolver = PromptResolver(FixedModel().facts.__class__("test", 4, 32, text_encoder=None), files)
    with pytest.raises(ValueError, match=r"No embeddings for 'zebra'.*Vocabularies at hand: lvis.*--text-encoder"):
        resolver.resolve(["zebra"], None)


def test_nearest_prompts_are_offered():
    facts = FixedModel().facts
    bank = facts.text_bank.__class__(facts.text_bank.prompts, facts.text_bank.embeddings_KD, "composed:4d", True)
    resolver = PromptResolver(facts.__class__("test", 4, 32, text_bank=bank))
    with pytest.raises(ValueError, match=r"Nearest known prompts to 'stray bat': stray cat.*at hand: model"):
        resolver.resolve(["stray bat"], None)


def test_an_encoder_that_cannot_be_loaded_is_explained():
    row = {"name": "open_clip", "model_name": "ViT-B-32-quickgelu", "pretrained": "no-such-tag"}
    resolver = PromptResolver(FixedModel(text_encoder=row).facts)
    with pytest.raises(ValueError, match="no-such-tag"):
        resolver.resolve(["zebra"], None)


def test_a_vocabulary_by_name_and_by_file(tmp_path):
    stored_bank(tmp_path / "lvis_text_bank.safetensors", ["bow", "ring"])
    files = find_text_banks(tmp_path)
    assert list(files) == ["lvis"]
    resolver = PromptResolver(FixedModel().facts, files)
    assert resolver.vocabularies == ("model", "lvis")
    assert resolver.resolve(None, "lvis").prompts == ("bow", "ring")
    assert resolver.resolve(["Ring"], str(files["lvis"])).prompts == ("Ring",)
    with pytest.raises(ValueError, match=r"Unknown vocabulary 'coco'\. Vocabularies at hand: model, lvis"):
        resolver.resolve(None, "coco")


def test_vocabularies_of_other_models_are_refused(tmp_path):
    wide = stored_bank(tmp_path / "a.safetensors", ["bow"], dim=6)
    other = stored_bank(tmp_path / "b.safetensors", ["bow"], encoder="composed:4d:seed0")
    resolver = PromptResolver(FixedModel().facts)
    with pytest.raises(ValueError, match=r"embeddings of 4 numbers; those of .* have 6"):
        resolver.resolve(None, wide)
    with pytest.raises(ValueError, match=r"trained with the text encoder 'open_clip.*embedded with 'composed"):
        resolver.resolve(None, other)


def test_a_model_without_prompts_asks_for_some():
    resolver = PromptResolver(FixedModel(text_bank=None).facts)
    with pytest.raises(ValueError, match=r"without prompts of its own\. Give prompts\. No vocabulary is at hand"):
        resolver.resolve(None, None)


def test_damaged_text_banks_are_refused(tmp_path):
    path = stored_bank(tmp_path / "t.safetensors", ["bow", "ring"])
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(ValueError, match="is not a text bank"):
        read_text_bank(path)
    with pytest.raises(ValueError, match="No text bank"):
        read_text_bank(tmp_path / "gone.safetensors")


class _Clip:
    def __init__(self, name):
        self.name = name

    def encode(self, prompts):
        return TextBank(tuple(prompts), torch.ones(len(prompts), 4), self.name, True)


@pytest.mark.parametrize("prompts", [["red lamp"], ["dog", "red lamp"]])
@pytest.mark.parametrize("made_by", ["", " made by open_clip:ViT-B-32-quickgelu:openai"])
def test_new_prompts_beside_a_file_of_embeddings_need_its_maker(prompts, made_by):
    own = TextBank(("dog", "lamp"), torch.ones(2, 4), f"precomputed:clip.npy:0{made_by}", True)
    resolver = PromptResolver(ModelFacts("test", 4, 32, text_bank=own), text_encoder=_Clip("open_clip:ViT-B-32:x"))
    if made_by:
        assert resolver.resolve(prompts, None).prompts == tuple(prompts)
    else:
        with pytest.raises(ValueError, match=r"two encoders cannot be compared.*'red lamp': lamp.*made_by"):
            resolver.resolve(prompts, None)
