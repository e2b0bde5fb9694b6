"""JSON of unknown origin: nesting is bounded, and NaN or Infinity are no numbers."""

from __future__ import annotations

import json
from typing import Any, NoReturn

DEEPEST = 40


def parse_json(text: str | bytes) -> Any:
    """The document. Raises ValueError, in one sentence, for what is no JSON or nested more than DEEPEST levels."""
    try:
        document = json.loads(text, parse_constant=_refuse)
    except RecursionError:
        raise _too_deep() from None
    except UnicodeDecodeError as error:
        raise ValueError(f"its JSON is not UTF-8 ({error.reason} at byte {error.start}).") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"its JSON cannot be read: {error.msg} at character {error.pos}.") from None
    level: list[Any] = [document]
    for _ in range(DEEPEST + 1):
        level = [child for value in level for child in _children(value)]
        if not level:
            return document
    raise _too_deep()


def _children(value: Any) -> list[Any]:
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [child for child in inside if isinstance(child, dict | list)]


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"its JSON holds {constant}; numbers are finite.")


def _too_deep() -> ValueError:
    return ValueError(f"its JSON is nested more than {DEEPEST} levels deep.")
