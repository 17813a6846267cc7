r"""Compile the regular expressions of AWS's service models, which are written for Java.

Java and Python differ in few, but treacherous places: ``\p{L}`` does not exist in Python; ``\d``
and ``\w`` are ASCII in Java and Unicode in Python; ``.`` stops at five line terminators in Java and
at one in Python. And the service matches the *whole* value, whether the pattern is anchored or not.

References
----------
``java.util.regex.Pattern``, Java SE 17 API documentation.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache
from itertools import groupby

_NOT_A_LINE_TERMINATOR = "[^\\n\\r\\u0085\\u2028\\u2029]"
_LAST_ASSIGNED_PLANE_END = 0x40000  # no letter, number or separator lies beyond plane 3


class UntranslatablePattern(ValueError):
    """A pattern that uses something Python has no counterpart for."""


@cache
def compile_pattern(pattern: str) -> re.Pattern[str]:
    r"""Return ``pattern`` as a Python expression: use its ``fullmatch``.

    Raises
    ------
    UntranslatablePattern
        If it cannot be expressed. The models of today hold no such pattern; a test says so.

    Examples
    --------
    >>> bool(compile_pattern(r"[\p{L}\p{N}_]*").fullmatch("Zoë_7"))
    True
    >>> bool(compile_pattern(r"\d{2}").fullmatch("٤٢"))
    False
    """
    parts: list[str] = []
    position, in_class = 0, False
    while position < len(pattern):
        character = pattern[position]
        if character == "\\":
            piece, position = _translate_escape(pattern, position, in_class)
            parts.append(piece)
            continue
        if in_class and pattern.startswith("&&", position):
            raise UntranslatablePattern(f"{pattern!r} intersects character classes (&&).")
        if in_class and character == "[":
            raise UntranslatablePattern(f"{pattern!r} nests character classes.")
        if character in "[]":
            in_class = character == "["
        parts.append(_NOT_A_LINE_TERMINATOR if character == "." and not in_class else character)
        position += 1
    try:
        return re.compile("".join(parts), re.ASCII)
    except re.error as error:
        raise UntranslatablePattern(f"{pattern!r}: {error}") from error


def _translate_escape(pattern: str, position: int, in_class: bool) -> tuple[str, int]:
    """Return the translation of the escape at ``position`` and where it ends."""
    if not pattern.startswith("\\p{", position):
        return pattern[position : position + 2], position + 2
    end = pattern.find("}", position)
    ranges = _property_ranges(pattern[position + 3 : end]) if end > 0 else ""
    if not ranges:
        raise UntranslatablePattern(f"{pattern!r} uses an unknown property at {position}.")
    return (ranges if in_class else f"[{ranges}]"), end + 1


def _property_ranges(name: str) -> str:
    """Return the inside of a character class for ASCII or a major category such as ``L``."""
    return "\\x00-\\x7f" if name == "ASCII" else _category_ranges().get(name, "")


@cache
def _category_ranges() -> dict[str, str]:
    """Return the ranges of every major category (letters, numbers, ...), in one pass of 50 ms."""
    ranges: dict[str, list[str]] = {}
    for major, codes in groupby(
        range(_LAST_ASSIGNED_PLANE_END), key=lambda code: unicodedata.category(chr(code))[0]
    ):
        members = list(codes)
        ranges.setdefault(major, []).append(f"\\U{members[0]:08x}-\\U{members[-1]:08x}")
    return {major: "".join(parts) for major, parts in ranges.items()}
