"""The loop: deterministic, resumable to the bit, honest about broken losses."""

import copy
import logging

import pytest
import torch

from crqat_pipeline.training.loop import train
from crqat_pipeline.training.non_finite import NonFiniteLossError
from crqat_pipeline.training.resume import PATTERN
from crqat_pipeline.training.spec import OptimizationSpec
from crqat_pipeline.training.task import SupervisedTask
from tests.support.random_batches import random_batches, small_detector

SPEC = OptimizationSpec(
    num_steps=6,
    learning_rate=1e-3,
    weight_decay=0.05,
    schedule="cosine",
    warmup_steps=2,
    ema_decay=0.9,
    log_every_steps=2,
    checkpoint_every_steps=2,
    max_gradient_norm=10.0,
)


FACTS = {"learning_rate": "0.001", "images": "sha256:0"}


class KilledError(Exception):
    """Stands for a process that dies."""


def killed_after(count):
    def batches(first, number):
        for index, batch in enumerate(random_batches(first, number)):
            if first + index == count:
                raise KilledError
            yield batch

    return batches


def run(folder=None, batches=random_batches, facts=FACTS, spec=SPEC):
    detector = small_detector().train()
    return train(SupervisedTask(detector), batches, spec, label="test", resume_folder=folder, facts=facts)


def assert_same(left, right):
    assert left.keys() == right.keys()
    assert all(torch.equal(left[name], right[name]) for name in left)


def test_the_same_seed_gives_the_same_numbers():
    first, second = run(), run()
    assert first.history == second.history
    assert_same(first.tensors, second.tensors)


@pytest.mark.parametrize("killed_at", [1, 3, 5])
def test_a_killed_run_continues_to_the_same_bits(tmp_path, killed_at):
    whole = run()
    with pytest.raises(KilledError):
        run(tmp_path, killed_after(killed_at))
    resumed = run(tmp_path)
    assert resumed.resumed_from_step == killed_at // 2 * 2
    assert resumed.history == whole.history
    assert_same(resumed.tensors, whole.tensors)


@pytest.mark.parametrize("damage", ["cut", "one bit"])
def test_a_damaged_checkpoint_is_passed_over_for_the_one_before(tmp_path, damage):
    with pytest.raises(KilledError):
        run(tmp_path, killed_after(5))
    newest = sorted(tmp_path.glob(PATTERN))[-1]
    content = bytearray(newest.read_bytes())
    content[-100] ^= 1
    newest.write_bytes(content[:1000] if damage == "cut" else content)
    resumed = run(tmp_path)
    assert resumed.resumed_from_step == 2
    assert_same(resumed.tensors, run().tensors)


def test_a_checkpoint_of_another_training_is_not_used_and_the_log_says_what_differs(tmp_path, caplog, monkeypatch):
    monkeypatch.setattr(logging.getLogger("crqat_pipeline"), "propagate", True)
    with pytest.raises(KilledError):
        run(tmp_path, killed_after(5))
    other = {"learning_rate": "0.002", "images": "sha256:1"}
    assert run(tmp_path, facts=other).resumed_from_step == 0
    told = "(images: other content; learning_rate 0.001 there, 0.002 now)"
    assert all(told in record.message for record in caplog.records)
    assert caplog.records


def test_checkpoints_of_another_training_do_not_push_out_this_ones(tmp_path):
    with pytest.raises(KilledError):
        run(tmp_path, killed_after(5))
    with pytest.raises(KilledError):
        run(tmp_path, killed_after(3), facts=FACTS | {"threads": "2"})
    assert [path.name for path in tmp_path.glob(PATTERN)] == ["step_00000002.safetensors"]
    assert run(tmp_path, facts=FACTS | {"threads": "2"}).resumed_from_step == 2


def test_the_last_two_checkpoints_are_kept(tmp_path):
    run(tmp_path, spec=SPEC.model_copy(update={"checkpoint_every_steps": 1}))
    assert [path.name for path in sorted(tmp_path.glob(PATTERN))] == [
        "step_00000004.safetensors",
        "step_00000005.safetensors",
    ]


def test_a_non_finite_loss_stops_with_step_layer_and_checkpoint(tmp_path):
    class Broken(SupervisedTask):
        calls = 0

        def losses(self, batch):
            self.calls += 1
            losses = super().losses(batch)
            if self.calls == 4:
                losses["loss_box"] = losses["loss_box"] * float("nan")
            return losses

    task = Broken(small_detector().train())
    with pytest.raises(NonFiniteLossError, match=r"at step 3 loss_box did not.*none, so.*step_00000002\.safetensors"):
        train(task, random_batches, SPEC, label="test", resume_folder=tmp_path)


@pytest.mark.parametrize(("value", "weights"), [(float("nan"), "not finite either"), (3e38, "finite")])
def test_the_layer_where_numbers_broke_is_named_with_the_state_of_its_weights(value, weights):
    """One weight of a layer is set: a NaN breaks its output by itself, a huge number by overflow."""
    detector = small_detector().train()
    name, layer = [(name, module) for name, module in detector.named_modules() if isinstance(module, torch.nn.Conv2d)][
        3
    ]
    with torch.no_grad():
        layer.weight.fill_(value)
    with pytest.raises(NonFiniteLossError, match=rf"at step 0 .*: {name} \(its weights are {weights}\)"):
        train(SupervisedTask(detector), random_batches, SPEC, label="test")


def test_listening_for_the_broken_layer_leaves_no_hook(tmp_path):
    detector = small_detector().train()
    with torch.no_grad():
        next(detector.parameters()).fill_(float("nan"))
    with pytest.raises(NonFiniteLossError):
        train(SupervisedTask(detector), random_batches, SPEC, label="test")
    assert not any(module._forward_hooks for module in detector.modules())


def test_accumulated_batches_give_the_gradient_of_their_mean():
    """With accumulation, the update is that of the mean loss over the batches of a step."""
    spec = SPEC.model_copy(update={"num_steps": 1, "accumulation_steps": 2, "ema_decay": None})
    detector = small_detector().eval()
    reference = copy.deepcopy(detector)
    train(SupervisedTask(detector), random_batches, spec, label="test")
    optimizer_step = torch.optim.AdamW(
        [
            {"params": [p for p in reference.parameters() if p.ndim > 1], "weight_decay": 0.05},
            {"params": [p for p in reference.parameters() if p.ndim <= 1], "weight_decay": 0.0},
        ],
        lr=1e-3 / 2,
    )
    for batch in random_batches(0, 2):
        (sum(SupervisedTask(reference).losses(batch).values()) / 2).backward()
    torch.nn.utils.clip_grad_norm_(reference.parameters(), 10.0)
    optimizer_step.step()
    for (name, got), expected in zip(detector.named_parameters(), reference.parameters(), strict=True):
        assert torch.allclose(got, expected, atol=1e-6), name


class Halving:
    """A companion that halves the rate after every step."""

    def __init__(self):
        self.factor = torch.ones(())
        self.tensors = {"factor": self.factor}

    @property
    def rate_factor(self):
        return float(self.factor)

    def on_gradients(self):
        pass

    def after_step(self):
        self.factor /= 2

    def metrics(self):
        return {"factor": float(self.factor)}


def test_a_companion_acts_on_every_step_and_is_resumed(tmp_path):
    def run_beside(batches=random_batches):
        task, spec = SupervisedTask(small_detector().train()), SPEC.model_copy(update={"schedule": "constant"})
        options = {"label": "test", "resume_folder": tmp_path, "facts": FACTS, "companion": Halving()}
        return train(task, batches, spec, **options)

    with pytest.raises(KilledError):
        run_beside(killed_after(3))
    history = run_beside().history
    assert [row["factor"] for row in history] == [1 / 4, 1 / 16, 1 / 64]
    assert [row["learning_rate"] for row in history] == pytest.approx([1e-3 / 2, 1e-3 / 8, 1e-3 / 32])
