"""A look at a torch file before anything is built from it: its container, and what its pickles would cost to build.

A pickle is a program for a small stack machine. `scan_pickle` runs it on sizes in place of objects: keys of
dictionaries and members of sets are hashed, which takes time for every object inside them, again for each path that
leads there.
"""

from __future__ import annotations

import io
import pickletools
import zipfile
from pathlib import Path
from typing import IO, Any

from crqat_pipeline.detectors.weights.outcome import WeightsRefused

MAX_PICKLE_BYTES = 64 * 2**20
MAX_STEPS = 1_000_000
MAX_HASHED = 20_000_000
"""Objects under all keys together, each counted along every path: about a second of hashing."""
BEYOND_COUNTING = 10**12
MAX_GROWTH, SPARE_BYTES = 3, 2**20
"""Torch stores its zip entries uncompressed."""
NUM_LEGACY_PICKLES = 5
MARK = -1


def check_container(path: Path) -> None:
    """Raises WeightsRefused for a file that is neither a zip of torch nor pickles, and for one that costs too much."""
    with path.open("rb") as file:
        start = file.read(4)
        if start[:2] == b"PK":
            _check_zip(path)
        elif start[:1] == b"\x80":
            file.seek(0)
            for _ in range(NUM_LEGACY_PICKLES):
                if file.tell() < path.stat().st_size:
                    scan_pickle(file)
        else:
            raise WeightsRefused(
                f"It is neither a zip nor a pickle ({path.stat().st_size} bytes, starting with {start!r}); it may be "
                "incomplete or of another kind. Download it again, or give a .pth, .pt or .safetensors file."
            )


def _check_zip(path: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
        total = sum(entry.file_size for entry in entries)
        if total > MAX_GROWTH * path.stat().st_size + SPARE_BYTES:
            raise WeightsRefused(
                f"Its zip of {path.stat().st_size:,} bytes unfolds to {total:,}; torch stores weights as they are. "
                "Give the original file."
            )
        for entry in entries:
            if entry.filename.endswith(".pkl"):
                if entry.file_size > MAX_PICKLE_BYTES:
                    raise WeightsRefused(_too_much(f"its {entry.filename} has {entry.file_size:,} bytes"))
                scan_pickle(io.BytesIO(archive.read(entry)))


def scan_pickle(file: IO[bytes]) -> None:
    """Read one pickle up to its end. Raises WeightsRefused for one that takes too many steps or too much hashing."""
    stack: list[int] = []
    memo: dict[int, int] = {}
    hashed = 0
    for step, (opcode, argument, _) in enumerate(pickletools.genops(file)):
        if step > MAX_STEPS:
            raise WeightsRefused(_too_much(f"its pickle has more than {MAX_STEPS:,} steps"))
        hashed += _apply(opcode, argument, stack, memo)
        if hashed > MAX_HASHED:
            raise WeightsRefused(_too_much("its pickle uses deeply nested objects as keys"))


def _apply(opcode: Any, argument: Any, stack: list[int], memo: dict[int, int]) -> int:
    """One step; the stack holds how many objects each object contains, counted along every path. Returns the hashed."""
    hashed: list[int] = []
    name = opcode.name
    if name == "MARK":
        stack.append(MARK)
    elif name in ("PUT", "BINPUT", "LONG_BINPUT"):
        memo[argument] = stack[-1] if stack else 1
    elif name == "MEMOIZE":
        memo[len(memo)] = stack[-1] if stack else 1
    elif name in ("GET", "BINGET", "LONG_BINGET"):
        stack.append(memo.get(argument, 1))
    elif name == "DUP":
        stack.append(stack[-1] if stack else 1)
    elif name in ("SETITEM", "SETITEMS", "ADDITEMS", "DICT", "FROZENSET"):
        taken = _take(stack, 2) if name == "SETITEM" else _take_marked(stack)
        hashed = taken if name in ("ADDITEMS", "FROZENSET") else taken[::2]
        _put(stack, taken, is_new=name in ("DICT", "FROZENSET"))
    elif name in ("REDUCE", "NEWOBJ", "NEWOBJ_EX", "BUILD"):
        taken = _take(stack, 3 if name == "NEWOBJ_EX" else 2)
        hashed = taken[1:] if name != "BUILD" else []
        stack.append(_size(taken))
    elif name in ("APPEND", "APPENDS"):
        _put(stack, _take(stack, 1) if name == "APPEND" else _take_marked(stack), is_new=False)
    elif name in ("TUPLE", "LIST", "OBJ", "INST", "POP_MARK"):
        taken = _take_marked(stack)
        if name != "POP_MARK":
            stack.append(_size(taken))
    elif name in ("TUPLE1", "TUPLE2", "TUPLE3"):
        stack.append(_size(_take(stack, int(name[-1]))))
    else:
        taken = _take(stack, len(opcode.stack_before))
        stack.extend([_size(taken)] * len(opcode.stack_after))
    return sum(hashed)


def _take(stack: list[int], count: int) -> list[int]:
    taken = [stack.pop() for _ in range(min(count, len(stack)))]
    return [size for size in reversed(taken) if size != MARK]


def _take_marked(stack: list[int]) -> list[int]:
    taken: list[int] = []
    while stack and (size := stack.pop()) != MARK:
        taken.append(size)
    return taken[::-1]


def _put(stack: list[int], taken: list[int], *, is_new: bool) -> None:
    if is_new or not stack:
        stack.append(1)
    stack[-1] = min(stack[-1] + sum(taken), BEYOND_COUNTING)


def _size(inside: list[int]) -> int:
    return min(1 + sum(inside), BEYOND_COUNTING)


def _too_much(what: str) -> str:
    return f"Reading it would take too long: {what}. Save its state dict as safetensors where it was made."
