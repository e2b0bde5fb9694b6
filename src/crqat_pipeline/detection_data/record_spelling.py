"""One value of an annotation record, in any of the spellings that tools write: the same number or text, or a refusal.

Every reader takes the value and returns it as the schema wants it. It raises ValueError with the rule alone; whoever
calls it names the record.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from numbers import Integral, Real
from types import MappingProxyType
from typing import Any, Protocol

from crqat_pipeline.detection_data.annotation_schema import LARGEST_ID, LARGEST_SIDE_PX

_DECIMAL = re.compile(r"\s*[+-]?[0-9]{1,40}\s*")
_NO_NUMBER = ("", "nan", "none", "null")


class Reader(Protocol):
    def __call__(self, value: Any, /) -> Any: ...


@dataclass(frozen=True)
class Spelling:
    """read: the reader of a field. is_required: null or absent is a fault; otherwise both mean that it is not there."""

    read: Reader
    is_required: bool = False


def whole_number(value: Any, least: int = -LARGEST_ID - 1, most: int = LARGEST_ID) -> int:
    """17, 17.0 and "0017" are 17."""
    if (isinstance(value, str) and _DECIMAL.fullmatch(value)) or (isinstance(value, float) and value.is_integer()):
        value = int(value)
    if not isinstance(value, Integral) or isinstance(value, bool):
        raise ValueError("must be a whole number")
    number = int(value)
    if not least <= number <= most:
        raise ValueError(
            f"must fit in 64 bits, up to {most}" if abs(number) > LARGEST_ID else f"must be from {least} to {most}"
        )
    return number


def flag(value: Any) -> int:
    """false, 0, 0.0, "0" are 0; true, 1, 1.0, "1" are 1."""
    try:
        return whole_number(int(value) if isinstance(value, bool) else value, 0, 1)
    except ValueError as error:
        raise ValueError("must be 0 or 1") from error


def real_number(value: Any) -> float:
    """A number or its text; it may be infinite or not a number."""
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError as error:
            if value.strip().lower() in _NO_NUMBER:
                return float("nan")
            raise ValueError("must be a number") from error
    if not isinstance(value, Real) or isinstance(value, bool):
        raise ValueError("must be a number")
    try:
        return value if isinstance(value, int) and abs(value) < 2**63 else float(value)
    except OverflowError:
        return float("inf")


def name(value: Any) -> str:
    """A text without blanks around it; classes may be called by a number."""
    text = str(value) if isinstance(value, Integral) and not isinstance(value, bool) else value
    if not isinstance(text, str) or not text.strip():
        raise ValueError("must be a text that is not empty")
    return _writable(text.strip())


def file_name(value: Any) -> str:
    """Folders are parted by "/", as on every system but Windows."""
    if not isinstance(value, str) or not value.strip():
        raise ValueError("must be a text that is not empty")
    text = _writable(value.replace("\\", "/"))
    while text.startswith("./"):
        text = text[2:]
    return text


def _writable(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError("must be a text that UTF-8 can hold") from error
    if "\0" in text:
        raise ValueError("must be a text without NUL")
    return text


def list_of(read: Reader, value: Any) -> list[Any]:
    """A list, each element read by `read`."""
    if not isinstance(value, list | tuple):
        raise ValueError("must be a list")
    return [read(one) for one in value]


def any_value(value: Any) -> Any:
    return value


_side = partial(whole_number, least=1, most=LARGEST_SIDE_PX)
_ids = partial(list_of, whole_number)
_names = partial(list_of, name)

SPELLINGS: Mapping[str, Mapping[str, Spelling]] = MappingProxyType(
    {
        "images": {
            "id": Spelling(whole_number, is_required=True),
            "width": Spelling(_side, is_required=True),
            "height": Spelling(_side, is_required=True),
            "file_name": Spelling(file_name),
            "coco_url": Spelling(name),
            "neg_category_ids": Spelling(_ids),
            "not_exhaustive_category_ids": Spelling(_ids),
        },
        "annotations": {
            "id": Spelling(whole_number),
            "image_id": Spelling(whole_number, is_required=True),
            "category_id": Spelling(whole_number, is_required=True),
            "bbox": Spelling(any_value),
            "area": Spelling(real_number),
            "iscrowd": Spelling(flag),
            "ignore": Spelling(flag),
        },
        "categories": {
            "id": Spelling(partial(whole_number, least=0), is_required=True),
            "name": Spelling(name, is_required=True),
            "synonyms": Spelling(_names),
            "splits": Spelling(_names),
        },
    }
)
"""Section -> field -> how it may be written. Other fields are kept as they are."""


def shown(value: Any) -> str:
    """A value in an error, however long or deep it is."""
    if isinstance(value, list | tuple | dict):
        return f"{type(value).__name__} of {len(value)}"
    return f"{value!r:.60}"
