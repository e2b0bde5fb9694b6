"""Every fault of the parameters, each under its dotted path."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from crqat_pipeline.runtime.lookup import near_name
from crqat_pipeline.runtime.nested import ABSENT, value_at
from crqat_pipeline.runtime.validation_text import fault_line


def did_you_mean(name: str, choices: Collection[str]) -> str:
    """` Did you mean 'x'?`, or nothing."""
    near = near_name(name, choices)
    return f" Did you mean {near!r}?" if near else ""


def _written_path(value: Any, location: Sequence[int | str]) -> list[str]:
    """The fault's location as the files write it: without the union tags that pydantic puts between."""
    written: list[str] = []
    for part in location[:-1]:
        if isinstance(value, Mapping):
            if part not in value:
                continue
            value = value[part]
        elif isinstance(value, Sequence) and isinstance(part, int):
            value = value[part]
        written.append(str(part))
    return [*written, *map(str, location[-1:])]


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    """The pydantic models that an annotation may hold: X of X | None, list[X], Annotated[X | Y, ...]."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for inner in get_args(annotation) for model in _models_in(inner)]


def _is_tagged(model: type[BaseModel], tag: int | str) -> bool:
    """Whether pydantic calls this variant of a union `tag`: by its name, or by the literal of its discriminator."""
    literals = [value for field in model.model_fields.values() for value in get_args(field.annotation)]
    return tag == model.__name__ or tag in literals


def _known_keys(spec: type[BaseModel], location: Sequence[int | str]) -> set[str]:
    """Field names of the nested model whose key stands at `location`."""
    models = [spec]
    for part in location[:-1]:
        fields = [model.model_fields[str(part)] for model in models if str(part) in model.model_fields]
        inner = [model for field in fields for model in _models_in(field.annotation)]
        models = inner or [model for model in models if _is_tagged(model, part)] or models
    return {name for model in models for name in model.model_fields}


def spec_faults(name: str, value: Any, spec: type[BaseModel]) -> Iterator[str]:
    """What one pydantic spec has against the value of parameter `name`."""
    try:
        spec.model_validate(value)
    except ValidationError as error:
        for fault in error.errors(include_url=False):
            where = ".".join([name, *_written_path(value, fault["loc"])])
            if fault["type"] == "extra_forbidden":
                key = str(fault["loc"][-1])
                yield f"{where}: there is no such parameter.{did_you_mean(key, _known_keys(spec, fault['loc']))}"
            elif fault["type"] == "missing":
                yield f"{where}: a value is required and missing."
            else:
                yield fault_line(where, fault["input"], fault["msg"])


def _misspelt(name: str, parameters: Mapping[str, Any], top_keys: Collection[str]) -> str:
    """A hint when a key beside the missing one looks like it."""
    *parents, key = name.split(".")
    beside = value_at(parameters, parents)
    if not isinstance(beside, Mapping):
        return ""
    return did_you_mean(key, set(beside) if parents else set(beside) - set(top_keys))


def parameter_faults(
    parameters: Mapping[str, Any],
    specs: Mapping[str, type[BaseModel]],
    used: Collection[str],
    known_keys: Collection[str],
) -> list[str]:
    """All faults, sorted by path. Empty when the parameters are good.

    specs: dotted name -> spec. used: dotted names that the nodes ask for. known_keys: top-level keys that may occur
    although no node of this run asks for them.
    """
    faults: list[str] = []
    top_keys = set(known_keys) | {name.split(".")[0] for name in used}
    for key in sorted(set(parameters) - top_keys):
        faults.append(f"{key}: there is no such parameter.{did_you_mean(key, top_keys)}")
    for name in sorted(used):
        value = value_at(parameters, name.split("."))
        if value is ABSENT:
            faults.append(f"{name}: a value is required and missing.{_misspelt(name, parameters, top_keys)}")
        elif name in specs:
            faults.extend(spec_faults(name, value, specs[name]))
    return faults
