"""Structure-aware damage: values of a JSON document replaced, removed, repeated or added."""

import copy
import random

JUNK = [
    None, True, False, 0, -1, 1.5, 1e308, -1e308, 10**30, float("nan"), float("inf"), "", "x", "1", "1.0",
    "é\0", "9" * 400, [], {}, [1], [[1]], {"a": 1}, [None], {"id": {}}, [1, 2, 3, 4],
    [0, 0, 0, 0], ["a", "b", "c", "d"],
]  # fmt: skip
KEYS = ("id", "image_id", "category_id", "bbox", "name", "iscrowd", "area", "extra")


def damaged(document, seed):
    """A copy of a JSON object with one to three faults; the same seed gives the same damage."""
    rng, copied = random.Random(seed), copy.deepcopy(document)
    for _ in range(rng.randint(1, 3)):
        *way, last = rng.choice([path for path in _paths(copied) if path])
        place = copied
        for key in way:
            place = place[key]
        kind = rng.random()
        if kind < 0.6:
            place[last] = copy.deepcopy(rng.choice(JUNK))
        elif kind < 0.75:
            del place[last]
        elif isinstance(place, list):
            place.append(copy.deepcopy(place[last]))
        else:
            place[rng.choice(KEYS)] = copy.deepcopy(rng.choice(JUNK))
    return copied


def _paths(value, path=()):
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield from _paths(inner, (*path, key))
