"""A look at a YAML file before OmegaConf makes a copy of everything that its aliases repeat."""

from __future__ import annotations

from pathlib import Path

import yaml

MAX_VALUES = 200_000
"""Of one file, each alias counted with all that it stands for; the largest file of conf/ has a few hundred."""
MAX_DEPTH = 50


def check_yaml(path: Path) -> None:
    """Raises ValueError, naming the file, for one that is no YAML, gives a key twice, or unfolds beyond all bounds."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} must be UTF-8; it is not at byte {error.start}. Save it as UTF-8.") from error
    except yaml.YAMLError as error:
        raise ValueError(f"{path} is no YAML: {_one_line(error)}. Mend the file.") from error
    except RecursionError as error:
        raise ValueError(_too_deep(path)) from error
    if root is not None:
        _count(root, path, {}, 0)


def _count(node: yaml.Node, path: Path, known: dict[int, int], depth: int) -> int:
    """Values below a node; an alias is counted wherever it stands."""
    if depth > MAX_DEPTH:
        raise ValueError(_too_deep(path))
    if id(node) in known:
        return known[id(node)]
    children: list[yaml.Node] = []
    if isinstance(node, yaml.MappingNode):
        _check_keys(node, path)
        children = [value for _, value in node.value]
    elif isinstance(node, yaml.SequenceNode):
        children = list(node.value)
    known[id(node)] = total = 1 + sum(_count(child, path, known, depth + 1) for child in children)
    if total > MAX_VALUES:
        raise ValueError(f"{path} unfolds to more than {MAX_VALUES:,} values, aliases counted. Write it without them.")
    return total


def _check_keys(node: yaml.MappingNode, path: Path) -> None:
    seen: set[tuple[str, str]] = set()
    for key, _ in node.value:
        written = (key.tag, key.value) if isinstance(key, yaml.ScalarNode) else None
        if written in seen:
            raise ValueError(
                f"A key stands once in a mapping; {path} has {key.value!r} twice, the second time at line "
                f"{key.start_mark.line + 1}. Remove one of them."
            )
        if written is not None and key.value != "<<":
            seen.add(written)


def _one_line(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    where = f" at line {mark.line + 1}, column {mark.column + 1}" if mark is not None else ""
    return f"{getattr(error, 'problem', None) or 'it cannot be read'}{where}"


def _too_deep(path: Path) -> str:
    return f"{path} nests more than {MAX_DEPTH} levels, or contains itself. Write it flatter."
