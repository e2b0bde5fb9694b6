"""YAML of unknown origin: what aliases unfold to is bounded, and a key stands once in a mapping."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from yaml.constructor import SafeConstructor

MAX_VALUES = 200_000
"""Of one file, each alias counted with all that it stands for; the largest file of conf/ has a few hundred."""
MAX_DEPTH = 50


def read_yaml(path: Path) -> Any:
    """The value of a YAML file in UTF-8.

    Raises ValueError, naming the file, for one that is no YAML, gives a key twice, or unfolds beyond all bounds;
    OSError for one that cannot be read.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} must be UTF-8; it is not at byte {error.start}. Save it as UTF-8.") from error
    return parse_yaml(text, path)


def parse_yaml(text: str, source: Path | str) -> Any:
    """As read_yaml, of a text; source: what errors name."""
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        if root is None:
            return None
        _count(root, source, {}, 0)
    except yaml.YAMLError as error:
        raise ValueError(f"{source} is no YAML: {_one_line(error)}. Mend it.") from error
    except RecursionError as error:
        raise ValueError(_too_deep(source)) from error
    try:
        return SafeConstructor().construct_document(root)  # type: ignore[no-untyped-call]
    except (yaml.YAMLError, ValueError, OverflowError) as error:  # a list as a key, the 40th of May
        reason = _one_line(error) if isinstance(error, yaml.YAMLError) else error
        raise ValueError(f"{source} has a value that YAML does not know: {reason}. Mend it.") from error


def _count(node: yaml.Node, source: Path | str, known: dict[int, int], depth: int) -> int:
    """Values below a node; an alias is counted wherever it stands."""
    if depth > MAX_DEPTH:
        raise ValueError(_too_deep(source))
    if id(node) in known:
        return known[id(node)]
    children: list[yaml.Node] = []
    if isinstance(node, yaml.MappingNode):
        _check_keys(node, source)
        children = [value for _, value in node.value]
    elif isinstance(node, yaml.SequenceNode):
        children = list(node.value)
    known[id(node)] = total = 1 + sum(_count(child, source, known, depth + 1) for child in children)
    if total > MAX_VALUES:
        raise ValueError(
            f"{source} unfolds to more than {MAX_VALUES:,} values, aliases counted. Write it without them."
        )
    return total


def _check_keys(node: yaml.MappingNode, source: Path | str) -> None:
    seen: set[tuple[str, str]] = set()
    for key, _ in node.value:
        written = (key.tag, key.value) if isinstance(key, yaml.ScalarNode) else None
        if written in seen:
            raise ValueError(
                f"A key stands once in a mapping; {source} has {key.value!r} twice, the second time at line "
                f"{key.start_mark.line + 1}. Remove one of them."
            )
        if written is not None and key.value != "<<":
            seen.add(written)


def _one_line(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    where = f" at line {mark.line + 1}, column {mark.column + 1}" if mark is not None else ""
    return f"{getattr(error, 'problem', None) or 'it cannot be read'}{where}"


def _too_deep(source: Path | str) -> str:
    return f"{source} nests more than {MAX_DEPTH} levels, or contains itself. Write it flatter."
