"""On how many images a stage is timed."""

import torch

from crqat_pipeline.dry_run.time_budget import PART_MACS_G, WHOLE_STEP_MACS_G, TimeBudget

CPU = torch.device("cpu")


def test_short_steps_are_timed_whole_and_long_ones_in_part():
    assert TimeBudget(0.0).images(CPU, WHOLE_STEP_MACS_G / 16, 8, 2) == 8
    assert TimeBudget(60.0).images(CPU, PART_MACS_G / 3, 16, 4) == 3
    assert TimeBudget(60.0).images(CPU, PART_MACS_G * 5, 16, 4) == 1
    assert TimeBudget(0.0).images(CPU, PART_MACS_G * 5, 16, 4) == 0
    assert TimeBudget(0.0).images(torch.device("cuda"), PART_MACS_G * 5, 16, 4) == 16


def test_a_stage_that_would_take_longer_than_what_is_left_is_not_timed():
    budget = TimeBudget(60.0)
    budget.spent(59.0)
    assert budget.images(CPU, PART_MACS_G, 16, 4) == 1
    budget.spent(61.0)
    assert budget.images(CPU, PART_MACS_G, 16, 4) == 0
