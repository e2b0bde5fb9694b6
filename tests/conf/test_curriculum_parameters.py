"""The stages' parameters are the paper's plan: parts, consecutive windows of the data, steps in proportion."""

import pytest
import yaml

from crqat_pipeline.curriculum.plan import PLANS, windows


def test_stages_follow_the_two_stage_plan(project):
    stages = []
    for window in windows(PLANS["two_stage"]):
        text = (project / f"conf/base/parameters_{window.name}.yml").read_text(encoding="utf-8")
        train = yaml.safe_load(text)[window.name]["train"]
        assert train["name"] == window.name
        assert tuple(train["parts"]) == window.parts
        assert train["data_window"] == pytest.approx([window.data_start, window.data_stop])
        stages.append((train["optimization"]["num_steps"], window.data_stop - window.data_start))
    total = sum(steps for steps, _ in stages)
    assert [steps / total for steps, _ in stages] == pytest.approx([share for _, share in stages])


def test_plain_qat_and_the_control_train_as_many_steps_as_both_stages(project):
    def steps(name, *path):
        node = yaml.safe_load((project / f"conf/base/parameters_{name}.yml").read_text(encoding="utf-8"))
        for key in (*path, "train", "optimization"):
            node = node[key]
        return node["num_steps"], node["learning_rate"]

    first, second = steps("stage1_backbone", "stage1_backbone"), steps("stage2_neck_head", "stage2_neck_head")
    for baseline in ("qat", "finetuned"):
        count, rate = steps("baselines", "baselines", baseline)
        assert count == first[0] + second[0]
        assert rate == first[1] == second[1]
