"""A checkpoint rebuilds its detector exactly; foreign ones are refused."""

import pytest
import torch

from crqat_pipeline.model_files.rebuilding import rebuild, to_checkpoint
from crqat_pipeline.quantization import QuantSpec, calibrate, prepare, set_quantized
from crqat_pipeline.recipes.specs import NamedBuilderSpec, QatStageSpec
from crqat_pipeline.structures.checkpoint import Checkpoint
from tests.support.random_batches import random_batch, small_detector

ROW = NamedBuilderSpec(name="yolo_world_open_shapes")


@pytest.mark.parametrize("parts", [("backbone",), ("backbone", "neck", "head")])
def test_a_quantized_student_comes_back_with_its_bits(parts):
    detector, spec, batch = small_detector().eval(), QuantSpec.parse("4-4-8"), random_batch(0)
    prepare(detector, spec)
    calibrate(detector, [(batch.images_B3HW, batch.text_embeddings)], parts)
    set_quantized(detector, parts)
    rebuilt = rebuild(to_checkpoint(detector.state_dict(), ROW, spec, parts, stage="test"))
    with torch.no_grad():
        expected, got = (one(batch.images_B3HW, batch.text_embeddings) for one in (detector, rebuilt.detector))
    assert torch.equal(expected.class_logits_BNK, got.class_logits_BNK)
    assert torch.equal(expected.boxes_BN4, got.boxes_BN4)
    assert rebuilt.quantized_parts == parts


def test_a_checkpoint_without_a_detector_is_refused_with_the_way_out():
    with pytest.raises(ValueError, match=r"names its detector; this one records only \['epoch'\].*crqat weights"):
        rebuild(Checkpoint({}, {"epoch": 3}))


def test_a_window_that_is_no_range_is_refused():
    stage = {
        "name": "x",
        "parts": ["backbone"],
        "loader": {},
        "optimization": {"num_steps": 1, "learning_rate": 1e-4},
    }
    with pytest.raises(ValueError, match=r"data_window is a range within \[0, 1\]; got \(0\.5, 0\.5\)"):
        QatStageSpec.model_validate(stage | {"data_window": [0.5, 0.5]})
