"""The study's parameters are valid, and its DVC stages are its methods."""

import yaml

from crqat_pipeline.recipes.planned_stages import CurriculumSpec
from crqat_pipeline.study.spec import StudySpec
from crqat_pipeline.study.stages import stage_specs


def parameters(project, name):
    return yaml.safe_load((project / f"conf/base/parameters_{name}.yml").read_text(encoding="utf-8"))


def test_one_dvc_stage_per_method(project):
    stages = yaml.safe_load((project / "docs/results/dvc.yaml").read_text(encoding="utf-8"))["stages"]
    assert stages["cells"]["matrix"]["method"] == list(parameters(project, "study")["study"]["methods"])


def test_every_method_is_in_a_table_and_trains_on_equal_terms(project):
    study = StudySpec.model_validate(parameters(project, "study")["study"])
    shown = {name for table in study.tables for name in table.methods}
    assert shown == set(study.methods)
    for method in study.methods.values():
        specs = stage_specs(method, study, 1e-4)
        assert sum(spec.optimization.num_steps for spec in specs) == study.optimization.num_steps
        assert all(spec.loader == study.loader for spec in specs)


def test_the_papers_method_is_that_of_the_pipeline(project):
    study = StudySpec.model_validate(parameters(project, "study")["study"])
    curriculum = CurriculumSpec.model_validate(parameters(project, "curriculum")["curriculum"])
    method = study.methods["crqat"]
    assert (method.plan, method.distillation) == (curriculum.plan, curriculum.distillation)
