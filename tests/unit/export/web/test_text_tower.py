"""CLIP's text tower as a graph, and the page's tokens, against open_clip."""

import numpy as np
import pytest
import torch
from torch.nn import functional

pytest.importorskip("open_clip")
pytest.importorskip("onnxruntime")
from crqat_pipeline.export.web.text_encoder import check_pair, web_text_encoder
from crqat_pipeline.export.web.text_tower import run_tower, text_tower
from crqat_pipeline.structures.vocabulary import TextBank
from crqat_pipeline.text_encoders.clip_parts import clip_parts
from crqat_pipeline.text_encoders.table import OpenClipSpec
from tests.support.page_scripts import NODE, in_node
from tests.support.tiny_clip import tiny_encoder_row

AWKWARD = (
    "person",
    "a red Bicycle",
    "",
    "  many \t spaces\n here ",
    "dog’s bowl and the cats' toys",
    "I'll don't we've it's I'm they'd YOU'RE",
    "1234567890 a4 sheets, 3.5mm",
    "café Cafe\u0301 naïve ÜBER straße",
    "日本語のテキスト",
    "Ελλάδα ΟΔΟΣ",
    "привет мир",
    "हिन्दी का पाठ",
    "العربية",
    "한국어 텍스트",
    "🦄🏳️‍🌈 emoji👩‍👩‍👧",
    "ﬁre ﬂy oﬃce ﬆ ﬅ ǆ ŉ",
    "ＦＵＬＬ width\u3000text",
    "“quoted” ‘text’",
    "&amp;lt;b&gt; &#39;x&#x27; &quot; &nbsp;",
    "<start_of_text>cat<end_of_text>",
    "a_b-c/d\\e@f#g !!!???...",
    "İstanbul",
    "ⅷ ½ ²",
    "a\u00a0b\u2003c\u200bd\ufeffe\u2028f",
    "\x07bell\x1b[0m\x1b[31;1mred",
    "supercalifragilisticexpialidocious",
    "x" * 300,
    "cat " * 75,
    "cat " * 100,
)


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    return OpenClipSpec(**tiny_encoder_row(tmp_path_factory.mktemp("clip"))).build()


@pytest.mark.skipif(NODE is None, reason="needs Node.js")
def test_the_page_makes_the_tokens_of_open_clip(encoder, tmp_path):
    script = """import { Tokenizer } from "./tokenizer.js";
    const answer = ({ merges, texts }) => {
      const tokenizer = new Tokenizer(merges, 77);
      return texts.map((text) => tokenizer.encode(text));
    };"""
    merges = "\n".join(clip_parts(encoder).merges)
    tokenizer = encoder.tokenizer
    for text, got in zip(AWKWARD, in_node(tmp_path, script, {"merges": merges, "texts": AWKWARD}), strict=True):
        padded = got["ids"] + [0] * (77 - len(got["ids"]))
        assert padded == tokenizer(text)[0].tolist(), text
        assert got["length"] == len(tokenizer.encode(text)) + 2, text


@pytest.mark.parametrize("options", [{}, {"quick_gelu": False, "normalize": False}])
def test_the_float_graph_is_the_encoder(tmp_path, options):
    encoder = OpenClipSpec(**tiny_encoder_row(tmp_path), **options).build()
    tokens_KT = encoder.tokenizer(list(AWKWARD))
    with torch.no_grad():
        expected_KD = encoder.tower(tokens_KT)
    if encoder.is_normalizing:
        expected_KD = functional.normalize(expected_KD, dim=-1)
    graph = text_tower(clip_parts(encoder), has_byte_weights=False).SerializeToString()
    got_KD = run_tower(graph, tokens_KT.numpy())
    np.testing.assert_allclose(got_KD, expected_KD, atol=1e-4)
    length = int(tokens_KT[4].argmax()) + 1  # nothing behind the end mark counts
    alone = run_tower(graph, tokens_KT[4:5, :length].numpy())
    np.testing.assert_allclose(alone, got_KD[4:5], atol=1e-5)


def test_weights_of_a_byte_give_nearly_the_same_in_a_quarter_of_the_size(encoder):
    prompts = tuple(text for text in AWKWARD[:26] if text)
    beside = web_text_encoder(encoder, encoder.encode(prompts))
    assert 0.999 < beside.least_likeness < 1
    table_bytes = encoder.tower.token_embedding.weight.numel()
    assert table_bytes < len(beside.files["model.onnx"]) < 1.5 * table_bytes
    assert beside.facts["name"] == encoder.name
    assert beside.facts["bytes"]["merges.txt"] == len(beside.files["merges.txt"])
    assert b"Copyright (c) 2021 OpenAI" in beside.files["NOTICE.txt"]


def test_a_bank_of_another_encoder_is_refused(encoder, tmp_path):
    prompts = ("red lamp", "stray cat", "tree")
    bank = encoder.encode(prompts)
    check_pair(encoder, TextBank(prompts, bank.embeddings_KD, "precomputed:x:1 made by open_clip:Y:openai", True))
    foreign = functional.normalize(torch.randn(3, 24, generator=torch.Generator().manual_seed(0)), dim=-1)
    for embeddings_KD, is_normalized, text in (
        (torch.eye(3, 64), True, "made its bank: other:1, 64 numbers a name; open_clip:tiny-crqat-test"),
        (bank.embeddings_KD, False, 'Give "normalize": false in the JSON'),
        (foreign, True, r"made its bank: other:1; open_clip:.*: cosine -?0\.\d+ in the middle of 3 prompts.*leave"),
    ):
        with pytest.raises(ValueError, match=text):
            check_pair(encoder, TextBank(prompts, embeddings_KD, "other:1", is_normalized))
