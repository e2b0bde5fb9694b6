"""What dvc.yaml should say, derived from the pipelines and the catalog, and what it does say.

dvc.yaml is written by hand to be read; this keeps it from saying something else than Kedro does.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from kedro.framework.project import pipelines
from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project
from kedro.pipeline import Pipeline

from crqat_pipeline.catalog_io.gathered import parts_of
from crqat_pipeline.hooks.planned_parameters import planned_sections
from crqat_pipeline.recipes.gathered import GATHERED

AGGREGATES = {"crqat_full", "__default__", "bit_allocation", "curriculum", "ptq", "study", "vocabulary_kd"}
"""Pipelines that are no stage of dvc.yaml: sums of stages, and what stands beside them."""
IN_MEMORY = ("tracker", "study_problem")
"""Entries that lie in no file."""
KINDS = ("outs", "metrics", "plots", "undeclared")
SPECS = "crqat_pipeline.recipes.specs"
"""No code dependency: what a stage takes from it is its parameters, and it imports the specs of every room."""
SHARED_PARAMETERS = ("conf/base/globals.yml:data_root",)
"""Parameters that every stage depends on."""
CURRICULUM = "conf/base/parameters_curriculum.yml:curriculum"
OF_ITS_PLAN = ("int4_export", "evaluation")
"""Stages whose input is the student of the plan's last stage."""


@dataclass
class StageFacts:
    """Paths relative to the project; parameters as <file>:<key>."""

    cmd: str = ""
    deps: set[str] = field(default_factory=set)
    outs: set[str] = field(default_factory=set)
    metrics: set[str] = field(default_factory=set)
    plots: set[str] = field(default_factory=set)
    params: set[str] = field(default_factory=set)


def stage_pipelines() -> dict[str, Pipeline]:
    return {name: each for name, each in pipelines.items() if name not in AGGREGATES}


def load_catalog(project: Path, env: str = "base", params: Mapping[str, Any] | None = None) -> Any:
    """The catalog of an environment, with the pipelines registered. params: what --params would add."""
    bootstrap_project(project)
    with KedroSession.create(
        project_path=project, env=env, runtime_params=dict(params or {}), save_on_close=False
    ) as session:
        return session.load_context().catalog


def parameter_files(project: Path) -> dict[str, str]:
    """Top-level key of a parameter -> its file in conf/base."""
    files = sorted((project / "conf" / "base").glob("parameters*.yml"))
    return {
        key: path.relative_to(project).as_posix()
        for path in files
        for key in yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    }


def kind_of(catalog: Any, name: str) -> str:
    """What the entry says DVC does with it; raises ValueError for an entry that does not say."""
    kind = (getattr(catalog.get(name), "metadata", None) or {}).get("dvc", {}).get("kind")
    if kind not in KINDS:
        raise ValueError(f"{name}: the catalog entry needs metadata.dvc.kind, one of {', '.join(KINDS)}; got {kind!r}.")
    return str(kind)


def derived_stages(project: Path) -> dict[str, StageFacts]:
    """Stage by stage, what follows from nodes and catalog."""
    catalog = load_catalog(project)
    files, parameters = parameter_files(project), catalog.load("parameters")

    def declared(names: Iterable[str]) -> list[tuple[str, str]]:
        stored = {name for name in names if not name.startswith("params:") and name not in (*IN_MEMORY, *GATHERED)}
        pairs = [(kind_of(catalog, name), str(catalog.get(name)._filepath)) for name in stored]
        return [(kind, Path(path).relative_to(project).as_posix()) for kind, path in pairs if kind != "undeclared"]

    facts = {}
    for stage, pipeline in stage_pipelines().items():
        one = StageFacts(cmd=f"kedro run --pipelines={stage} --env=base")
        one.deps = {path for _, path in declared(parts_of(pipeline.inputs(), catalog))}
        for kind, path in declared(pipeline.all_outputs()):
            getattr(one, kind).add(path)
        keys = [name.removeprefix("params:") for name in pipeline.inputs() if name.startswith("params:")]
        one.params = {f"{files[key.split('.')[0]]}:{key}" for key in keys} | set(SHARED_PARAMETERS)
        if planned_sections(parameters).intersection(keys):
            one.params.add(CURRICULUM)
        if stage in OF_ITS_PLAN:
            one.params.add(f"{CURRICULUM}.plan")
        facts[stage] = one
    return facts


def stages_of_run(repo: Any) -> list[Any]:
    """The stages of dvc.yaml at the project's root; that of the study (docs/results) stands apart."""
    return [stage for stage in repo.index.stages if Path(stage.path) == Path(repo.root_dir) / "dvc.yaml"]


def written_stages(project: Path) -> dict[str, StageFacts]:
    """What dvc.yaml says, as DVC itself reads it. Code dependencies (src/) are left out."""
    from dvc.dependency.param import ParamsDependency
    from dvc.repo import Repo

    facts = {}
    with Repo(str(project)) as repo:
        for stage in stages_of_run(repo):
            one = StageFacts(cmd=str(stage.cmd))
            for dep in stage.deps:
                if isinstance(dep, ParamsDependency):
                    one.params |= {f"{dep.def_path}:{key}" for key in dep.params}
                elif not dep.def_path.startswith("src/"):
                    one.deps.add(dep.def_path)
            for out in stage.outs:
                kind = "metrics" if out.metric else "plots" if out.plot else "outs"
                getattr(one, kind).add(out.def_path)
            facts[stage.name] = one
    return facts


def uncached_outputs(project: Path) -> list[str]:
    """What the stages of dvc.yaml make and DVC's cache does not keep."""
    from dvc.repo import Repo

    with Repo(str(project)) as repo:
        return sorted(out.def_path for stage in stages_of_run(repo) for out in stage.outs if not out.use_cache)


def disagreements(derived: dict[str, StageFacts], written: dict[str, StageFacts]) -> list[str]:
    """One line per difference; empty when dvc.yaml agrees."""
    lines = [f"dvc.yaml lacks the stage {stage}" for stage in sorted(derived.keys() - written.keys())]
    lines += [
        f"dvc.yaml has the stage {stage}, which is no pipeline" for stage in sorted(written.keys() - derived.keys())
    ]
    for stage in sorted(derived.keys() & written.keys()):
        right, said = derived[stage], written[stage]
        if right.cmd != said.cmd:
            lines.append(f"{stage}: cmd is {said.cmd!r}, should be {right.cmd!r}")
        for kind in ("deps", "outs", "metrics", "plots", "params"):
            should, does = getattr(right, kind), getattr(said, kind)
            lines += [f"{stage}: {kind} lacks {item}" for item in sorted(should - does)]
            lines += [
                f"{stage}: {kind} has {item}, which the catalog does not know there" for item in sorted(does - should)
            ]
    return lines


def imported_files(graph: Any, stage: str, project: Path) -> set[str]:
    """The modules that a stage imports at any depth, as paths.

    Left out: packages (their __init__ files hold docstrings and re-exports) and catalog_io (how a thing lies on disk).
    """
    root = f"crqat_pipeline.pipelines.{stage}"
    own = {root} | graph.find_descendants(root)
    modules = own.union(*(graph.find_upstream_modules(module) for module in own))
    paths = {f"src/{module.replace('.', '/')}" for module in modules if ".catalog_io" not in module}
    return {f"{path}.py" for path in paths if not (project / path).is_dir()}


def code_dependencies(project: Path) -> dict[str, list[str]]:
    """Stage by stage, what dvc.yaml says of src/."""
    from dvc.repo import Repo

    with Repo(str(project)) as repo:
        deps = {stage.name: [dep.def_path for dep in stage.deps] for stage in stages_of_run(repo)}
    return {stage: [path for path in paths if path.startswith("src/")] for stage, paths in deps.items()}


def code_disagreements(project: Path) -> list[str]:
    """Modules that a stage imports and no src/ dependency covers, and dependencies of which it imports nothing."""
    import grimp

    graph = grimp.build_graph("crqat_pipeline")
    graph.remove_module(SPECS)
    lines = []
    for stage, covered in code_dependencies(project).items():
        files = imported_files(graph, stage, project)
        covers = {path: {file for file in files if file == path or file.startswith(f"{path}/")} for path in covered}
        lines += [f"{stage}: deps lacks {file}" for file in sorted(files.difference(*covers.values()))]
        lines += [f"{stage}: deps has {path}, of which it imports nothing" for path in covered if not covers[path]]
    return lines
