"""The family keeps the promises of the protocol, and the published weights give their own answers."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from crqat_nanodet.coco_names import COCO_NAMES
from crqat_nanodet.family import NANODET, nanodet_m
from crqat_nanodet.foreign import read_file

from crqat_pipeline.detection_data.image_folder import ImageFolder
from crqat_pipeline.detectors import build_detector
from crqat_pipeline.detectors.weights import WeightsRefused
from crqat_pipeline.structures.vocabulary import TextBank
from crqat_pipeline.testing import check_family
from crqat_pipeline.text_encoders.precomputed import PrecomputedTextEncoder

DATA = Path(__file__).resolve().parents[4] / "shared" / "data"
PARAM = DATA / "nanodet_m" / "nanodet_m_416.param"
PHOTOGRAPH = "coco_mini/images/val2017/000000000139.jpg"
COCO = DATA / "coco_photos" / "annotations" / "instances_val.json"


@pytest.fixture(scope="module")
def bank() -> TextBank:
    """CLIP embeddings of the COCO names."""
    if not PARAM.is_file():
        pytest.skip("no published weights in ../shared/data beside the repository")
    return PrecomputedTextEncoder(DATA / "text" / "coco_clip_vit_b32.npy", COCO).encode(COCO_NAMES)


def test_the_family_keeps_the_promises_of_the_protocol() -> None:
    check_family(NANODET)


def test_it_is_found_by_name() -> None:
    assert build_detector("nanodet_m", embedding_dim=8).embedding_dim == 8


def test_the_names_are_those_of_coco_in_its_order(bank: TextBank) -> None:
    categories = sorted(json.loads(COCO.read_text(encoding="utf-8"))["categories"], key=lambda one: one["id"])
    assert tuple(one["name"] for one in categories) == COCO_NAMES


def test_coco_prompts_give_the_closed_set_answers(bank: TextBank) -> None:
    torch.manual_seed(0)
    opened, closed = nanodet_m().eval(), nanodet_m(embedding_dim=80).eval()
    opened.load_weights(PARAM, bank)
    file = read_file(PARAM)
    closed.load_state_dict(dict(file.tensors))
    photograph = ImageFolder(DATA).open(PHOTOGRAPH).resize((320, 224))
    images_B3HW = torch.from_numpy(np.asarray(photograph).copy()).permute(2, 0, 1)[None] / 255
    with torch.inference_mode():
        got = opened(images_B3HW, bank.embeddings_KD)
        wanted = closed(images_B3HW, file.text_embeddings_KD)
    assert float(wanted.class_logits_BNK.sigmoid().max()) > 0.5, "it sees something"
    torch.testing.assert_close(got.class_logits_BNK, wanted.class_logits_BNK, rtol=0, atol=1e-4)
    torch.testing.assert_close(got.boxes_BN4, wanted.boxes_BN4, rtol=0, atol=0)


def test_names_held_out_are_not_fitted_and_the_others_exactly(bank: TextBank) -> None:
    held_out = ("dog", "zebra")
    whole, part = nanodet_m().eval(), nanodet_m(held_out_names=held_out).eval()
    whole.load_weights(PARAM, bank)
    fitted = [row for row, name in enumerate(COCO_NAMES) if name not in held_out]
    report = part.load_weights(PARAM, TextBank(part.spec.fitted_names, bank.embeddings_KD[fitted], "test", True))
    assert "78 COCO classes" in report.what
    torch.manual_seed(0)
    images_B3HW = torch.rand(1, 3, 64, 64)
    with torch.inference_mode():
        difference_BNK = whole(images_B3HW, bank.embeddings_KD).class_logits_BNK
        difference_BNK = (difference_BNK - part(images_B3HW, bank.embeddings_KD).class_logits_BNK).abs()
    assert float(difference_BNK[..., fitted].max()) < 1e-4
    others = [row for row, name in enumerate(COCO_NAMES) if name in held_out]
    assert float(difference_BNK[..., others].amax(dim=(0, 1)).min()) > 0.1


@pytest.mark.parametrize(("names", "got"), [(("dogg",), "'dogg'"), (COCO_NAMES, "all of them")])
def test_names_that_cannot_be_held_out_are_refused(names: tuple[str, ...], got: str) -> None:
    with pytest.raises(ValueError, match=f"some of the 80 names of COCO, not all; got {got}"):
        nanodet_m(held_out_names=names)


def test_weights_that_do_not_fit_leave_the_detector_as_it_was(bank: TextBank) -> None:
    detector = nanodet_m(embedding_dim=16)
    before = {name: tensor.clone() for name, tensor in detector.state_dict().items()}
    with pytest.raises(WeightsRefused, match="embedding_dim=512"):
        detector.load_weights(PARAM, bank)
    with pytest.raises(WeightsRefused, match="none were given"):
        detector.load_weights(PARAM)
    with pytest.raises(WeightsRefused, match="files of this machine"):
        detector.load_weights("https://example.org/nanodet.param", bank)
    assert all(torch.equal(tensor, before[name]) for name, tensor in detector.state_dict().items())
