"""The QAT stages in the parameters: made from `curriculum`, each with what its own section says otherwise.

Pipelines, the dry run and MLflow then find every stage whole under `params:<stage>.train`, whatever the plan.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from crqat_pipeline.hooks.environment_merge import EnvironmentConfigLoader, merged
from crqat_pipeline.runtime.nested import ABSENT, value_at, with_value

if TYPE_CHECKING:
    from crqat_pipeline.recipes.specs import QatStageSpec

SECTION = "curriculum"
COMPARED = MappingProxyType(
    {"baselines.qat": "qat", "baselines.finetuned": "finetuned", "vocabulary_kd": "vocabulary_kd"}
)
"""Trainings on the curriculum's terms in one stage: section -> name of the stage."""
STUDENT, LAYERS, HISTORY = f"{SECTION}_student", f"{SECTION}_layers", f"{SECTION}_history"
"""In evaluation.forms: student and diagnostics of the plan's last stage, and the loss curves of all its stages."""


class PlannedConfigLoader(EnvironmentConfigLoader):
    """The environment's configuration, its parameters with every stage whole."""

    def _resolve_from_raw_config(self, key: str, *raw: Any) -> dict[str, Any]:
        content: dict[str, Any] = super()._resolve_from_raw_config(key, *raw)
        return planned_parameters(content) if key == "parameters" else content


def planned_parameters(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters with every stage whole, and the plan's stages in place of `curriculum_...` in evaluation.forms.

    Unchanged where `curriculum` is absent, or faulty: the check of the parameters tells what is wrong with it.
    """
    result = dict(parameters)
    for section, stage in _stages(parameters).items():
        path = (*section.split("."), "train")
        written = value_at(parameters, path)
        if written is ABSENT or isinstance(written, Mapping):
            own = written if isinstance(written, Mapping) else {}
            made = stage.model_dump(mode="json", exclude_defaults=True)
            named = {"name": own.get("name", stage.name)}  # of another name `merged` would take another row
            result = with_value(result, path, merged(made | named, own))
    forms = value_at(result, ("evaluation", "forms"))
    stages = plan_stages(parameters)
    if stages and isinstance(forms, Mapping):
        result = with_value(result, ("evaluation", "forms"), _with_students(forms, stages))
    return result


def plan_stages(parameters: Mapping[str, Any]) -> tuple[str, ...]:
    """Names of the stages of `curriculum.plan`; none where it names no plan."""
    from crqat_pipeline.curriculum.plan import PAPERS_PLAN, PLANS, stage_names

    section = parameters.get(SECTION)
    plan = section.get("plan", PAPERS_PLAN) if isinstance(section, Mapping) else None
    return stage_names(plan) if isinstance(plan, str) and plan in PLANS else ()


def planned_sections(parameters: Mapping[str, Any]) -> set[str]:
    """Dotted names of the parameters that are made from `curriculum`; none where it is absent."""
    stages = plan_stages(parameters) or _stages_of_all_plans()
    return {f"{section}.train" for section in (*stages, *COMPARED)} if SECTION in parameters else set()


def idle_stages(parameters: Mapping[str, Any]) -> Iterator[str]:
    """A fault for each stage of another plan that has values: they would change nothing."""
    own = plan_stages(parameters)
    for name in _stages_of_all_plans():
        if own and name not in own and value_at(parameters, (name, "train")) not in (ABSENT, {}, None):
            yield f"{name}.train: the plan of the curriculum has no such stage; its stages are {', '.join(own)}."


def _stages_of_all_plans() -> list[str]:
    from crqat_pipeline.curriculum.plan import PLANS, stage_names

    return list(dict.fromkeys(name for plan in PLANS for name in stage_names(plan)))


def _stages(parameters: Mapping[str, Any]) -> dict[str, QatStageSpec]:
    """Section -> its stage as the curriculum alone would have it."""
    from crqat_pipeline.detectors.family import PARTS
    from crqat_pipeline.recipes.planned_stages import CurriculumSpec, curriculum_stages, single_stage

    if SECTION not in parameters:
        return {}
    try:
        curriculum = CurriculumSpec.model_validate(parameters[SECTION])
    except ValidationError:
        return {}
    parts = _parts(parameters)
    try:
        planned = curriculum_stages(curriculum, parts)
    except ValueError:  # too few parts for the plan: the check of the parameters tells
        planned = curriculum_stages(curriculum, PARTS)
    stages = {stage.name: stage for stage in planned}
    return stages | {section: single_stage(curriculum, name, parts) for section, name in COMPARED.items()}


def _parts(parameters: Mapping[str, Any]) -> tuple[str, ...]:
    """Of the detector's family; the usual ones where the detector is not known, of which its builder tells."""
    from crqat_pipeline.detectors.family import PARTS
    from crqat_pipeline.detectors.table import family_of

    try:
        return family_of(parameters["detector"]["name"]).parts
    except (KeyError, TypeError, ValueError):
        return PARTS


def _with_students(forms: Mapping[str, Any], stages: Sequence[str]) -> dict[str, Any]:
    last = stages[-1]
    named = {STUDENT: f"{last}_student", LAYERS: f"{last}_layers", HISTORY: [f"{stage}_history" for stage in stages]}

    def resolved(value: Any) -> Any:
        return named.get(value, value) if isinstance(value, str) else value

    return {
        name: {key: resolved(value) for key, value in form.items()} if isinstance(form, Mapping) else form
        for name, form in forms.items()
    }
