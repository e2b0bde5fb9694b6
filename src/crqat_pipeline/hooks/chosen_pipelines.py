"""Pipelines are made of what the parameters choose: the plan of the curriculum, the forms of the evaluation.

Kedro registers pipelines before it knows parameters. So the pipelines that depend on them, and the sum of all, are put
into the registry again as soon as the parameters are there; stages and evaluation stay tied by what one writes and the
other reads.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl
from kedro.framework.project import pipelines

from crqat_pipeline.catalog_io.artifact import ArtifactFile
from crqat_pipeline.curriculum.plan import PAPERS_PLAN, PLANS, stage_names
from crqat_pipeline.hooks.checks.parameter_check import written_parameters
from crqat_pipeline.recipes.form_spec import is_path

EVALUATION, SUMS = "evaluation", ("crqat_full", "__default__")


class ChosenPipelines:
    """Comes before the check of the parameters, which looks at what the pipelines ask for."""

    def __init__(self) -> None:
        self._files: dict[str, Path] = {}

    @hook_impl(tryfirst=True)
    def after_context_created(self, context: KedroContext) -> None:
        from crqat_pipeline.pipelines.evaluation.forms import entry_of, named_forms

        parameters = written_parameters(context)
        forms = named_forms(parameters.get(EVALUATION))
        self._files = {
            entry_of(name, form): Path(context.project_path) / form["checkpoint"]
            for name, form in forms.items()
            if is_path(form["checkpoint"])
        }
        curriculum = parameters.get("curriculum")
        plan = curriculum.get("plan", PAPERS_PLAN) if isinstance(curriculum, Mapping) else PAPERS_PLAN
        if forms:
            register(forms, plan if plan in PLANS else PAPERS_PLAN)

    @hook_impl
    def after_catalog_created(self, catalog: Any) -> None:
        for entry, path in self._files.items():
            catalog[entry] = ArtifactFile(filepath=str(path), metadata={"dvc": {"kind": "undeclared"}})


def register(forms: Mapping[str, Mapping[str, Any]], plan: str) -> None:
    """Make the registered pipelines that depend on forms or plan over again, with these.

    Raises ValueError where a stage was asked for that the plan does not have.
    """
    registered = set(pipelines)
    _forget_other_stages(registered, plan)
    if EVALUATION in registered:
        from crqat_pipeline.pipelines import evaluation

        pipelines[EVALUATION] = evaluation.create_pipeline(forms)
    if "curriculum" in registered:
        from crqat_pipeline.pipelines import curriculum

        pipelines["curriculum"] = curriculum.create_pipeline(plan)
    if "int4_export" in registered:
        from crqat_pipeline.pipelines import int4_export

        pipelines["int4_export"] = int4_export.create_pipeline(f"{stage_names(plan)[-1]}_student")
    if SUMS[0] in registered:
        from crqat_pipeline.pipelines import crqat_full

        whole = crqat_full.create_pipeline(forms, plan)
        pipelines.update({name: whole for name in SUMS if name in registered})


def _forget_other_stages(registered: set[str], plan: str) -> None:
    own = stage_names(plan)
    other = sorted({name for each in PLANS for name in stage_names(each)}.intersection(registered).difference(own))
    if other and SUMS[0] not in registered:
        raise ValueError(
            f"{other[0]} is no stage of curriculum.plan={plan}; its stages are {', '.join(own)}. Run them with "
            "--pipelines=curriculum."
        )
    for name in other:
        del pipelines[name]
