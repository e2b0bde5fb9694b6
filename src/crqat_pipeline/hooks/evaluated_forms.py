"""The evaluation is made from `evaluation.forms` of the environment: what it reads are the forms' own entries.

Kedro registers pipelines before it knows parameters. So the evaluation, and the sum of all stages, are put into the
registry again as soon as the parameters are there; stages and evaluation stay tied by what one writes
and the other reads.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl
from kedro.framework.project import pipelines

from crqat_pipeline.catalog_io.artifact import ArtifactFile
from crqat_pipeline.hooks.checks.parameter_check import written_parameters
from crqat_pipeline.recipes.form_spec import is_path

EVALUATION, SUMS = "evaluation", ("crqat_full", "__default__")


class EvaluatedForms:
    """Comes before the check of the parameters, which looks at what the pipelines ask for."""

    def __init__(self) -> None:
        self._files: dict[str, Path] = {}

    @hook_impl(tryfirst=True)
    def after_context_created(self, context: KedroContext) -> None:
        from crqat_pipeline.pipelines.evaluation.forms import entry_of, named_forms

        forms = named_forms(written_parameters(context).get(EVALUATION))
        self._files = {
            entry_of(name, form): Path(context.project_path) / form["checkpoint"]
            for name, form in forms.items()
            if is_path(form["checkpoint"])
        }
        if forms:
            register_forms(forms)

    @hook_impl
    def after_catalog_created(self, catalog: Any) -> None:
        for entry, path in self._files.items():
            catalog[entry] = ArtifactFile(filepath=str(path), metadata={"dvc": {"kind": "undeclared"}})


def register_forms(forms: Mapping[str, Mapping[str, Any]]) -> None:
    """Make the registered pipelines that evaluate over again, with these forms."""
    registered = set(pipelines)
    if EVALUATION in registered:
        from crqat_pipeline.pipelines import evaluation

        pipelines[EVALUATION] = evaluation.create_pipeline(forms)
    if SUMS[0] in registered:
        from crqat_pipeline.pipelines import crqat_full

        whole = crqat_full.create_pipeline(forms)
        pipelines.update({name: whole for name in SUMS if name in registered})
