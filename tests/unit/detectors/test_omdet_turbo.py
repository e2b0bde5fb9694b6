"""OmDet-Turbo: the released architecture's own answers and weights, matching, losses, and the order of queries."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

pytest.importorskip("transformers", reason="the extra omdet is not installed")
from safetensors.torch import save_file
from transformers import OmDetTurboConfig, OmDetTurboForObjectDetection

from crqat_pipeline.detectors import FAMILIES, build_detector
from crqat_pipeline.detectors.foreign_weights import read_foreign_weights
from crqat_pipeline.detectors.omdet_turbo.loading import TASK, TASK_TOKENS
from crqat_pipeline.detectors.omdet_turbo.matching import match_best, match_one_to_one
from crqat_pipeline.detectors.omdet_turbo.sizes import SIZES, spec_of
from crqat_pipeline.detectors.weights import WeightsRefused
from crqat_pipeline.distillation.objective import DistillationSpec
from crqat_pipeline.distillation.trkd import TrkdSpec
from crqat_pipeline.model_files.checkpoint_file import read_checkpoint
from crqat_pipeline.model_files.rebuilding import rebuild
from crqat_pipeline.recipes.weight_conversion import write_converted
from crqat_pipeline.structures.batch import DetectionBatch, ImageTargets
from crqat_pipeline.text_encoders import build_text_encoder
from crqat_pipeline.training.task import DistillationTask
from tests.support.published_omdet import released_model

SMALL = "omdet_turbo_open_shapes"


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A small OmDetTurboForObjectDetection and the folder that it was saved to."""
    torch.manual_seed(0)
    model = released_model()
    folder = tmp_path_factory.mktemp("omdet")
    model.save_pretrained(folder)
    return model, folder


def scene(num_images=2, num_prompts=4, seed=0):
    generator = torch.Generator().manual_seed(seed)
    images = torch.rand(num_images, 3, 64, 96, generator=generator)
    return images, torch.randn(num_prompts, 64, generator=generator)


@torch.no_grad()
def test_loaded_weights_answer_as_transformers_does(saved):
    model, folder = saved
    detector = build_detector(SMALL)
    report = detector.load_weights(folder)
    assert len(report.loaded) == len(detector.state_dict())
    images, text = scene()
    mean, deviation = (
        torch.tensor(values).view(1, 3, 1, 1) for values in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    )
    maps = model.encoder(model.vision_backbone((images - mean) / deviation), return_dict=True).extracted_states
    task = model.language_backbone.model(torch.tensor([TASK_TOKENS])).last_hidden_state
    task_TBD = task.expand(2, -1, -1).transpose(0, 1)
    mask = torch.ones(2, len(TASK_TOKENS), dtype=torch.int64)
    theirs = model.decoder(maps, text.unsqueeze(1).expand(-1, 2, -1), task_TBD, mask, return_dict=True)
    ours = detector.eval()(images, text)
    torch.testing.assert_close(ours.class_logits_BNK, theirs.decoder_classes[-1], rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(ours.family["boxes_LBN4"][-1], theirs.decoder_coords[-1], rtol=1e-3, atol=1e-4)


def test_a_file_of_another_size_is_refused_and_changes_nothing(saved):
    detector = build_detector(SMALL, decoder_layers=1)
    before = {key: value.clone() for key, value in detector.state_dict().items()}
    with pytest.raises(WeightsRefused, match="has unknown decoder"):
        detector.load_weights(saved[1])
    assert all(torch.equal(value, before[key]) for key, value in detector.state_dict().items())


def test_the_text_encoder_of_a_saved_model_gives_its_class_embeddings(saved):
    _, folder = saved
    bank = build_text_encoder("omdet_turbo", source=str(folder)).encode(["cat", "red circle"])
    assert (bank.embeddings_KD.shape, bank.is_normalized) == ((2, 64), False)
    assert not torch.equal(bank.embeddings_KD[0], bank.embeddings_KD[1])


def test_the_task_tokens_are_those_of_its_words():
    import open_clip

    tokens = open_clip.get_tokenizer("ViT-B-32")([TASK])[0]
    assert tuple(tokens[tokens > 0].tolist()) == TASK_TOKENS


def test_the_released_size_has_the_released_number_of_parameters():
    with torch.device("meta"):
        released = OmDetTurboForObjectDetection(OmDetTurboConfig())
        ours = build_detector("omdet_turbo_tiny")
    count = sum(
        value.numel() for name, value in released.named_parameters() if not name.startswith("language_backbone")
    )
    assert sum(value.numel() for value in ours.parameters()) == count + ours.head.task_tokens.numel()


def test_every_attention_of_the_detector_is_quantizable():
    with torch.device("meta"):
        detector = build_detector("omdet_turbo_tiny")
    kinds = [getattr(module, "product_operands", None) for module in detector.modules()]
    assert sum(operands is not None and operands.kind == "attention" for operands in kinds) == 12 + 1 + 6 + 6


def test_matching_is_the_cheapest_one_to_one():
    cost = torch.tensor([[1.0, 2.0], [1.5, 9.0], [9.0, 9.0]])
    query, place = match_one_to_one(cost)
    assert dict(zip(query.tolist(), place.tolist(), strict=True)) == {0: 1, 1: 0}


def test_the_best_queries_of_each_object_and_a_query_for_one_object_only():
    cost = torch.tensor([[1.0, 0.5], [2.0, 3.0], [5.0, 4.0], [3.0, 9.0]])
    query, place = match_best(cost, 2)
    assert query.tolist() == [0, 1]
    assert place.tolist() == [1, 0]
    assert match_best(cost[:, :0], 2)[0].shape == (0,)


def test_a_perfect_answer_costs_next_to_nothing():
    torch.manual_seed(0)
    detector = build_detector(SMALL).eval()
    images, text = scene(1)
    output = detector(images, text)
    box = torch.tensor([0.5, 0.5, 0.4, 0.4])
    boxes = output.family["boxes_LBN4"].clone()
    boxes[:, 0, 3] = box
    logits = torch.full_like(output.family["logits_LBNK"], -12.0)
    logits[:, 0, 3, 2] = 12.0
    good = replace(output, family={**output.family, "boxes_LBN4": boxes, "logits_LBNK": logits})
    target = ImageTargets(torch.tensor([[0.3 * 96, 0.3 * 64, 0.7 * 96, 0.7 * 64]]), torch.tensor([2]))
    losses = {name: float(value) for name, value in detector.loss(good, (target,)).items()}
    assert all(value < 1e-3 for value in losses.values()), losses
    assert sum(map(float, detector.loss(output, (target,)).values())) > 1


@torch.no_grad()
def test_queries_are_compared_by_the_cell_they_came_from():
    torch.manual_seed(0)
    detector = build_detector(SMALL).eval()
    output = detector(*scene())
    order = torch.randperm(output.boxes_BN4.shape[1])
    shuffled = replace(
        output,
        class_logits_BNK=output.class_logits_BNK[:, order],
        boxes_BN4=output.boxes_BN4[:, order],
        region_embeddings_BND=output.region_embeddings_BND[:, order],
        family={
            "cell_BN": output.family["cell_BN"][:, order],
            "boxes_LBN4": output.family["boxes_LBN4"][:, :, order],
        },
    )
    again = detector.in_order_of(shuffled, output)
    assert torch.equal(again.region_embeddings_BND, output.region_embeddings_BND)
    assert torch.equal(again.class_logits_BNK, output.class_logits_BNK)


def test_distillation_from_an_equal_teacher_is_zero_whatever_the_order_of_queries():
    torch.manual_seed(0)
    teacher = build_detector(SMALL).eval()
    images, text = scene()
    boxes = torch.tensor([[8.0, 8.0, 60.0, 50.0]])
    target = ImageTargets(boxes, torch.tensor([1]))
    batch = DetectionBatch(images, (target, target), text, (0, 1))
    task = DistillationTask(teacher, teacher, DistillationSpec(trkd=TrkdSpec(weight=6)))
    assert float(task.losses(batch)["trkd"].detach()) == pytest.approx(0, abs=1e-9)


def test_small_images_have_fewer_queries():
    detector = build_detector(SMALL).eval()
    with torch.no_grad():
        assert detector(torch.rand(1, 3, 32, 32), torch.randn(2, 64)).boxes_BN4.shape == (1, 16 + 4 + 1, 4)


def test_heads_that_do_not_divide_the_width_are_refused():
    with pytest.raises(ValueError, match="do not split into 5 heads"):
        spec_of("omdet_turbo_tiny", swin_heads=(3, 5, 12, 24))


def test_the_row_names_its_extra_where_transformers_is_missing():
    row = replace(FAMILIES["omdet_turbo"], modules=("transformers", "no_such_module"))
    with pytest.raises(ValueError, match=r"no_such_module cannot be found.*crqat-pipeline\[omdet\]"):
        row.check_installed()
    assert set(row.detectors) == set(SIZES)


def test_a_saved_folder_is_understood_whatever_its_size_and_becomes_a_checkpoint(saved, tmp_path):
    model, folder = saved
    for source in (folder, folder / "model.safetensors"):
        weights = read_foreign_weights(source)
        assert weights.detector_name == "omdet_turbo_tiny"
        assert weights.text_encoder == {"name": "omdet_turbo", "source": str(folder)}
        assert "OmDet-Turbo of transformers" in str(weights)
    loaded = build_detector(SMALL)
    loaded.load_weights(folder)
    assert "wrote" in write_converted(weights, tmp_path / "m.safetensors")
    detector = rebuild(read_checkpoint(tmp_path / "m.safetensors")).detector
    assert detector.spec.num_heads == model.config.decoder_num_heads
    with torch.no_grad():
        ours, theirs = detector.eval()(*scene()), loaded.eval()(*scene())
    torch.testing.assert_close(ours.class_logits_BNK, theirs.class_logits_BNK)
    torch.testing.assert_close(ours.boxes_BN4, theirs.boxes_BN4)


def test_a_folder_without_weights_and_a_file_that_is_none_are_told(tmp_path):
    with pytest.raises(FileNotFoundError, match="No weight file"):
        read_foreign_weights(tmp_path / "absent")
    save_file({"a": torch.zeros(1)}, tmp_path / "model.safetensors")
    with pytest.raises(WeightsRefused, match="no OmDet-Turbo of transformers"):
        read_foreign_weights(tmp_path)
