"""What `${...}` in configuration would unfold to, counted before OmegaConf unfolds it.

OmegaConf resolves a key anew wherever it is asked for, so ten keys of `${other}${other}` each are a thousand
resolutions. Here a key is looked at once. Where files say different things of one key, the largest counts: the answer
does not depend on which of them will win.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

MAX_STEPS = 5_000
"""Of one configuration: each `${...}`, counted wherever it is resolved, is one step, and a millisecond or so; the
largest environment of conf/ takes 500."""
MAX_CHARACTERS = 5_000_000
MAX_CHAIN = 100
"""Keys that refer to each other in a row, mappings and lists between them counted."""
MAX_NESTING = 8
"""`${a.${b}}` is 2."""
CHARACTERS_PER_STEP = 10
ANY = ".*"
_SEPARATOR = re.compile(r"[.\[\]]+")
Path = tuple[str, ...]


@dataclass(frozen=True)
class Unfolded:
    """steps: interpolations resolved; characters: of the result; chain: keys behind each other."""

    steps: int = 0
    characters: int = 0
    chain: int = 0

    def __add__(self, other: Unfolded) -> Unfolded:
        characters = self.characters + other.characters
        return Unfolded(self.steps + other.steps, characters, max(self.chain, other.chain))


def check_interpolations(written: Mapping[str, Any], elsewhere: Mapping[str, Mapping[str, Any]] | None = None) -> None:
    """Raises ValueError, naming source and key, for what unfolds beyond all bounds.

    written: source (a file, --params) -> its mapping, interpolations as text. elsewhere: resolver such as "globals" ->
    the sources that it looks keys up in.
    """
    tables = {name: _Table(sources, {}) for name, sources in (elsewhere or {}).items()}
    table = _Table(written, tables)
    whole = Unfolded()
    for key in table.children[()]:
        whole += table.unfolded((key,))
        _check(whole, table.source((key,)), key)


class _Table:
    """Every key of the sources by its path, with all that is written for it."""

    def __init__(self, sources: Mapping[str, Any], elsewhere: Mapping[str, _Table]) -> None:
        self.values: dict[Path, list[tuple[str, Any]]] = defaultdict(list)
        self.children: dict[Path, dict[str, None]] = defaultdict(dict)
        self._elsewhere = elsewhere
        self._known: dict[Path, Unfolded] = {}
        for source, content in sources.items():
            self._add(source, (), content)

    def source(self, path: Path) -> str:
        return self.values[path][-1][0]

    def unfolded(self, path: Path) -> Unfolded:
        """Of the key at `path`; nothing for one that is missing or refers to itself, of which OmegaConf tells."""
        if path in self._known or path not in self.values:
            return self._known.get(path, Unfolded())
        self._known[path] = whole = Unfolded()
        for key in self.children.get(path, ()):
            whole += self.unfolded((*path, key))
        for source, value in self.values[path]:
            if isinstance(value, str):
                whole += self._of_text(source, path, value)
        self._known[path] = Unfolded(whole.steps, whole.characters, whole.chain + 1)
        _check(self._known[path], self.source(path), ".".join(path))
        return self._known[path]

    def _of_text(self, source: str, path: Path, text: str) -> Unfolded:
        whole = Unfolded(0, len(text))
        if "${" not in text:
            return whole
        whole = Unfolded(len(text) // CHARACTERS_PER_STEP, len(text))
        for inner in _interpolations(text, f"{source}: {'.'.join(path)!r}"):
            whole += Unfolded(1)
            for target in self._targets(inner, path):
                whole += target
            _check(whole, source, ".".join(path))
        return whole

    def _targets(self, inner: str, path: Path) -> Iterator[Unfolded]:
        """What the text between braces may refer to; a name that is itself interpolated may be any that fits."""
        resolver, colon, arguments = inner.partition(":")
        if not colon or "${" in resolver:
            yield self._largest(_absolute(inner, path))
            return
        table = self._elsewhere.get(resolver.strip(), self)
        for argument in arguments.split(","):
            yield table._largest(_absolute(argument.strip(" '\""), ()))

    def _largest(self, wanted: Path) -> Unfolded:
        if ANY not in "".join(wanted):
            return self.unfolded(wanted)
        pattern = re.compile(r"\.".join(wanted))
        fitting = [path for path in list(self.values) if pattern.fullmatch(".".join(path))]
        return max((self.unfolded(path) for path in fitting), key=lambda each: each.steps, default=Unfolded())

    def _add(self, source: str, path: Path, value: Any) -> None:
        if path:
            self.values[path].append((source, value))
            self.children[path[:-1]][path[-1]] = None
        pairs: Iterable[tuple[Any, Any]] = ()
        if isinstance(value, Mapping):
            pairs = value.items()
        elif isinstance(value, list | tuple):
            pairs = enumerate(value)
        for key, inner in pairs:
            self._add(source, (*path, str(key)), inner)


def _interpolations(text: str, where: str) -> Iterator[str]:
    """The text between the braces of every `${...}`, those inside others too."""
    starts: list[int] = []
    position = 0
    while position < len(text):
        if text.startswith("${", position):
            starts.append(position + 2)
            position += 1
            if len(starts) > MAX_NESTING:
                raise ValueError(f"{where} nests ${{...}} more than {MAX_NESTING} levels. Name the values one by one.")
        elif text[position] == "}" and starts:
            yield text[starts.pop() : position]
        position += 1


def _absolute(inner: str, path: Path) -> Path:
    """The path that a text between braces names, seen from the key at `path`; ANY in place of what is interpolated."""
    text = inner.strip()
    ups = len(text) - len(text.lstrip("."))
    start = path[: len(path) - ups] if ups else ()
    plain = _without_inner(text.lstrip("."))
    parts = [part for part in _SEPARATOR.split(plain) if part]
    return (*start, *(part.replace("\0", ANY) if "\0" in part else part for part in parts))


def _without_inner(text: str) -> str:
    """`a.${b}` as `a.` and a zero byte; whatever is in an interpolation goes."""
    kept, depth, position = [], 0, 0
    while position < len(text):
        if text.startswith("${", position):
            depth += 1
            kept += ["\0"] if depth == 1 else []
            position += 1
        elif text[position] == "}" and depth:
            depth -= 1
        elif not depth:
            kept.append(text[position])
        position += 1
    return "".join(kept)


def _check(whole: Unfolded, source: str, key: str) -> None:
    if whole.steps > MAX_STEPS or whole.characters > MAX_CHARACTERS:
        raise ValueError(
            f"{source}: what ${{...}} stands for is resolved in at most {MAX_STEPS:,} steps and {MAX_CHARACTERS:,} "
            f"characters; up to {key!r} it would take more. Write the values out."
        )
    if whole.chain > MAX_CHAIN:
        raise ValueError(
            f"{source}: keys refer to one another at most {MAX_CHAIN} times in a row; {key!r} is behind more. Write "
            "the values out."
        )
