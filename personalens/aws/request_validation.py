r"""Hold a request to the limits that its service model states, as the service itself does.

botocore checks required members, types and minima before it sends anything. It does **not** check
maxima, patterns or enumerations: a name of 64 characters, 1000 results or an unknown import mode
all travel to the service, which answers ``InvalidInputException``. So do we, in the service's
words, and with every fault at once.

The patterns of the models are written for Java. It differs from Python in few places, but
treacherous ones: ``\p{L}`` does not exist in Python; ``\d`` and ``\w`` are ASCII in Java, Unicode
in Python; ``.`` stops at five line terminators in Java and at one in Python. And the service
matches the *whole* value, whether the pattern is anchored or not. (The library ``regex`` knows
``\p{L}``, but takes an unclosed ``\p{L`` for text, and a match takes it twice as long.)

Amazon Personalize: ``InvalidInputException`` ("1 validation error detected: ...").

One extension: where AWS takes an S3 location, a ``file://`` URI or an absolute path is welcome too.

References
----------
``java.util.regex.Pattern``, Java SE 17 API documentation.
"""

from __future__ import annotations

import logging
import math
import os
import re
import unicodedata
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import cache
from itertools import groupby
from typing import Any

from botocore.model import Shape

from personalens.aws.service_models import find_operation
from personalens.service_errors import InvalidInputException

log = logging.getLogger(__name__)

Check = Callable[[Any, str, list[str]], None]
"""Looks at a value found at a path and adds what is wrong with it to a list."""

_SHOWN_CHARACTERS = 200
_LONGEST_TO_MATCH = 512
"""What is too long may be matched all the same up to here; beyond, the patterns of ARNs take the
cube of its length."""
_MOST_FAULTS = 100
"""A list without a limit can have a fault in each of a million members."""
_TOKENS = re.compile(r"\\p\{\w+\}|\\.|&&|.", re.DOTALL)
_NOT_A_LINE_TERMINATOR = "[^\\n\\r\\u0085\\u2028\\u2029]"
_LAST_ASSIGNED_PLANE_END = 0x40000
"""No letter, number or separator lies beyond plane 3."""
_LOCAL_LOCATIONS = " (PersonaLens also takes file:// URIs and absolute paths)"


def validate_request(service: str, operation: str, params: Mapping[str, Any]) -> None:
    """Check ``params`` against the input shape of an operation; InvalidInputException names every
    member that breaks a limit.

    >>> validate_request("personalize", "CreateSchema", {"name": "-", "schema": "{}"})
    Traceback (most recent call last):
    ...
    personalens.service_errors.InvalidInputException: 1 validation error detected: Value '-' at \
'name' failed to satisfy constraint: Member must satisfy regular expression pattern: \
^[a-zA-Z0-9][a-zA-Z0-9\\-_]*
    """
    check = _operation_check(service, operation)
    faults: list[str] = []
    check(params, "", faults)
    if faults:
        del faults[_MOST_FAULTS:]
        noun = "error" if len(faults) == 1 else "errors"
        raise InvalidInputException(
            f"{len(faults)} validation {noun} detected: " + "; ".join(faults)
        )


@cache
def _operation_check(service: str, operation: str) -> Check:
    shape = find_operation(service, operation).model.input_shape
    return _compile(shape) if shape is not None else lambda value, path, faults: None


def _compile(shape: Shape) -> Check:
    """Return the check of ``shape``, built once so that a request costs microseconds."""
    builder = _BUILDERS.get(shape.type_name)
    if builder is None:
        raise NotImplementedError(f"Shape type {shape.type_name!r} ({shape.name}) has no check.")
    return builder(shape)


def _structure_check(shape: Shape) -> Check:
    members = {name: _compile(member) for name, member in shape.members.items()}
    required = frozenset(shape.required_members)

    def check(value: Any, path: str, faults: list[str]) -> None:
        if not isinstance(value, Mapping):
            return _blame(shape, value, path, "Member must be a structure", faults)
        prefix = f"{path}." if path else ""
        for name, check_member in members.items():
            member = value.get(name)
            if member is not None:
                check_member(member, prefix + name, faults)
            elif name in required:
                faults.append(_fault("Value null", prefix + name, "Member must not be null"))

    return check


def _list_check(shape: Shape) -> Check:
    check_member = _compile(shape.member)
    check_length = _length_check(shape)

    def check(value: Any, path: str, faults: list[str]) -> None:
        if not isinstance(value, list | tuple):
            return _blame(shape, value, path, "Member must be a list", faults)
        if not check_length(value, path, faults):
            return None
        for number, member in enumerate(value, start=1):
            if len(faults) > _MOST_FAULTS:
                return None
            place = f"{path}.{number}.member"
            if member is None:
                faults.append(_fault("Value null", place, "Member must not be null"))
            else:
                check_member(member, place, faults)

    return check


def _map_check(shape: Shape) -> Check:
    check_key, check_value = _compile(shape.key), _compile(shape.value)
    check_length = _length_check(shape)

    def check(value: Any, path: str, faults: list[str]) -> None:
        if not isinstance(value, Mapping):
            return _blame(shape, value, path, "Member must be a map", faults)
        if not check_length(value, path, faults):
            return None
        for key, member in value.items():
            check_key(key, f"{path}.key", faults)
            if member is None:
                faults.append(_fault("Value null", f"{path}.{key}", "Member must not be null"))
            else:
                check_value(member, f"{path}.{key}", faults)

    return check


def _string_check(shape: Shape) -> Check:
    check_length = _length_check(shape)
    check_pattern = _pattern_check(shape)
    allowed = frozenset(shape.enum)
    takes_local_paths = shape.name == "S3Location"

    def check(value: Any, path: str, faults: list[str]) -> None:
        if not isinstance(value, str):
            return _blame(shape, value, path, "Member must be a string", faults)
        if takes_local_paths and (value.startswith("file://") or os.path.isabs(value)):
            return
        if check_length(value, path, faults) or len(value) <= _LONGEST_TO_MATCH:
            check_pattern(value, path, faults)
        if allowed and value not in allowed:
            choices = ", ".join(shape.enum)
            _blame(shape, value, path, f"Member must satisfy enum value set: [{choices}]", faults)

    return check


def _pattern_check(shape: Shape) -> Check:
    pattern = shape.metadata.get("pattern")
    if pattern is None:
        return lambda value, path, faults: None
    rule = f"Member must satisfy regular expression pattern: {pattern}"
    if shape.name == "S3Location":
        rule += _LOCAL_LOCATIONS

    def check(value: Any, path: str, faults: list[str]) -> None:
        try:  # compiled on first use: the patterns of tags take 0.1 s
            expression = compile_pattern(pattern)
        except UntranslatablePattern as error:
            log.warning("The pattern of %s is not checked: %s", shape.name, error)
            return
        if not expression.fullmatch(value):
            _blame(shape, value, path, rule, faults)

    return check


def _length_check(shape: Shape) -> Callable[[Any, str, list[str]], bool]:
    return _range_check(shape, "length", len)


def _range_check(
    shape: Shape, noun: str, measure: Callable[[Any], float]
) -> Callable[[Any, str, list[str]], bool]:
    """Return a check that adds the fault and says whether the value is not too much."""
    least, most = shape.metadata.get("min"), shape.metadata.get("max")

    def check(value: Any, path: str, faults: list[str]) -> bool:
        if least is not None and measure(value) < least:
            rule = f"Member must have {noun} greater than or equal to {least}"
            _blame(shape, value, path, rule, faults)
        if most is not None and measure(value) > most:
            rule = f"Member must have {noun} less than or equal to {most}"
            _blame(shape, value, path, rule, faults)
            return False
        return True

    return check


def _number_check(shape: Shape) -> Check:
    accepted = (int,) if shape.type_name in ("integer", "long") else (int, float)
    check_range = _range_check(shape, "value", lambda value: value)

    def check(value: Any, path: str, faults: list[str]) -> None:
        if not isinstance(value, accepted) or isinstance(value, bool) or not math.isfinite(value):
            rule = f"Member must be a finite number of type {shape.type_name}"
            return _blame(shape, value, path, rule, faults)
        check_range(value, path, faults)

    return check


def _type_check(accepted: tuple[type, ...], rule: str) -> Callable[[Shape], Check]:
    def build(shape: Shape) -> Check:
        def check(value: Any, path: str, faults: list[str]) -> None:
            if not isinstance(value, accepted):
                _blame(shape, value, path, rule, faults)

        return check

    return build


_BUILDERS: dict[str, Callable[[Shape], Check]] = {
    "structure": _structure_check,
    "list": _list_check,
    "map": _map_check,
    "string": _string_check,
    "integer": _number_check,
    "long": _number_check,
    "float": _number_check,
    "double": _number_check,
    "boolean": _type_check((bool,), "Member must be a boolean"),
    "timestamp": _type_check((datetime, int, float), "Member must be a timestamp"),
    "blob": _type_check((bytes, bytearray), "Member must be a blob"),
}


def _blame(shape: Shape, value: Any, path: str, rule: str, faults: list[str]) -> None:
    """Add one fault. Like AWS's, it does not repeat a value that the model calls sensitive."""
    if shape.metadata.get("sensitive"):
        shown = "Value"
    else:
        text = str(value)
        cut = len(text) > _SHOWN_CHARACTERS
        shown = f"Value '{text[:_SHOWN_CHARACTERS]}{'...' if cut else ''}'"
    faults.append(_fault(shown, path, rule))


def _fault(shown: str, path: str, rule: str) -> str:
    return f"{shown} at '{path}' failed to satisfy constraint: {rule}"


class UntranslatablePattern(ValueError):
    """A pattern that uses something Python has no counterpart for. Today's models hold none."""


@cache
def compile_pattern(pattern: str) -> re.Pattern[str]:
    r"""Return a pattern of Java's as a Python expression: use its ``fullmatch``.

    >>> bool(compile_pattern(r"[\p{L}\p{N}_]*").fullmatch("Zoë_7"))
    True
    >>> bool(compile_pattern(r"\d{2}").fullmatch("٤٢"))
    False
    """
    parts, in_class = [], False
    for token in _TOKENS.findall(pattern):
        if in_class and token in ("[", "&&"):
            raise UntranslatablePattern(f"{pattern!r} nests or intersects character classes.")
        if token in ("[", "]"):
            in_class = token == "["
        elif token == "." and not in_class:
            token = _NOT_A_LINE_TERMINATOR
        elif token.startswith("\\p{"):
            ranges = _property_ranges(token[3:-1])
            token = ranges if in_class else f"[{ranges}]"
        parts.append(token)
    try:
        return re.compile("".join(parts), re.ASCII)
    except re.error as error:
        raise UntranslatablePattern(f"{pattern!r}: {error}") from error


def _property_ranges(name: str) -> str:
    """Return the inside of a character class for ASCII or a major category such as ``L``."""
    if name == "ASCII":  # without the table of categories, which takes 50 ms
        return "\\x00-\\x7f"
    try:
        return _category_ranges()[name]
    except KeyError:
        raise UntranslatablePattern(f"There is no property {name!r} to match by.") from None


@cache
def _category_ranges() -> dict[str, str]:
    """Return the ranges of every major category: letters (L), numbers (N) and so on."""
    ranges: dict[str, list[str]] = {}
    for major, codes in groupby(
        range(_LAST_ASSIGNED_PLANE_END), key=lambda code: unicodedata.category(chr(code))[0]
    ):
        members = list(codes)
        ranges.setdefault(major, []).append(f"\\U{members[0]:08x}-\\U{members[-1]:08x}")
    return {major: "".join(parts) for major, parts in ranges.items()}
