"""JSON that a request carries as text: schemas, and the properties of events and records."""

from __future__ import annotations

from typing import Any

import orjson

MOST_LEVELS = 64
"""Ours have five; what is deeper exhausts whoever walks through it."""
_IN_PLAIN_WORDS = {
    "number is infinity when parsed as double": "a number that is larger than 64-bit floats are",
    "no low surrogate in string": "half of a surrogate pair, which is no character,",
    "depth limit exceeded": f"more than {MOST_LEVELS} levels",
}


def read_json(text: str) -> Any:
    """Return the value of a JSON text.

    Raises
    ------
    ValueError
        Saying where it is not JSON: an infinity, a number that no 64-bit float holds and half of a
        surrogate pair are not; or that it is nested too deep.

    Examples
    --------
    >>> read_json('{"genre": ["Drama"]}')
    {'genre': ['Drama']}
    >>> read_json('{"genre": "Drama}')
    Traceback (most recent call last):
    ...
    ValueError: unexpected end of data at line 1, column 18
    """
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        what = _IN_PLAIN_WORDS.get(error.msg, error.msg)
        raise ValueError(f"{what} at line {error.lineno}, column {error.colno}") from None
    if text.count("[") + text.count("{") > MOST_LEVELS and _levels(value) > MOST_LEVELS:
        raise ValueError(f"more than {MOST_LEVELS} levels")
    return value


def _levels(value: Any) -> int:
    """Return how deep lists and objects lie in each other, without going down by recursion."""
    level, levels = [value], 0
    while level := [each for each in level if isinstance(each, dict | list)]:
        levels += 1
        level = [
            inner for each in level for inner in (each.values() if isinstance(each, dict) else each)
        ]
    return levels
