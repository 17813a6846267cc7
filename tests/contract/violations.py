"""What a service model forbids: from a valid value, every way to break one constraint of its shape.

The models are botocore's, so a constraint that a newer model adds is tried at once.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from botocore.model import Shape

SAMPLES = (
    "second",
    "arn:aws:personalize:us-east-1:123456789012:filter/first",
    "arn:aws:iam::123456789012:role/personalize",
    "arn:aws:kms:us-east-1:123456789012:key/1",
    "s3://bucket/folder/",
    "0.5",
    "rate(7 days)",
    "SAMPLECOUNT()",
)
"""Between them they satisfy every pattern of the three models."""

NONSENSE = "\x01 né! \x01"
"""Satisfies no pattern that forbids anything."""


def sample(shape: Shape) -> Any:
    """Return a value that keeps to every constraint of a shape, as small as may be."""
    match shape.type_name:
        case "structure":
            return {name: sample(shape.members[name]) for name in shape.required_members}
        case "list":
            return [sample(shape.member)] * max(1, shape.metadata.get("min", 0))
        case "map":
            return {sample(shape.key): sample(shape.value)}
        case "string":
            if shape.enum:
                return shape.enum[0]
            pattern = _python_pattern(shape)
            return next(text for text in SAMPLES if re.fullmatch(pattern, text))
        case "boolean":
            return True
        case _:
            return shape.metadata.get("min", 1)


def violations(shape: Shape, valid: Any, place: str = "") -> Iterator[tuple[str, Any]]:
    """Yield (what is wrong and where, the value with that one fault)."""
    metadata, kind = shape.metadata, shape.type_name
    if kind == "structure":
        yield from _of_members(shape, valid, place)
    elif kind == "list":
        if metadata.get("max") is not None:
            yield f"{place}: too many", [sample(shape.member)] * (metadata["max"] + 1)
        if metadata.get("min"):
            yield f"{place}: too few", []
        inner = valid[0] if valid else sample(shape.member)
        for what, bad in violations(shape.member, inner, f"{place}.1.member"):
            yield what, [bad, *valid[1:]]
    elif kind == "map":
        if metadata.get("max") is not None:
            value = sample(shape.value)
            yield f"{place}: too many", {f"KEY{n}": value for n in range(metadata["max"] + 1)}
        for what, bad in violations(shape.value, sample(shape.value), f"{place}.KEY"):
            yield what, {"KEY": bad}
        for what, bad in violations(shape.key, sample(shape.key), f"{place}.key"):
            if isinstance(bad, str):
                yield what, {bad: sample(shape.value)}
    elif kind == "string":
        yield from _of_string(shape, place)
    elif kind in ("integer", "long", "float", "double"):
        if "min" in metadata:
            yield f"{place}: too small", metadata["min"] - 1
        if "max" in metadata:
            yield f"{place}: too large", metadata["max"] + 1
        yield f"{place}: not a number", float("nan")
        yield f"{place}: infinite", float("inf")
        yield f"{place}: of the wrong type", "seven"
    elif kind == "boolean":
        yield f"{place}: of the wrong type", "yes"


def _of_members(shape: Shape, valid: dict[str, Any], place: str) -> Iterator[tuple[str, Any]]:
    for name, member in shape.members.items():
        inner_place = f"{place}.{name}" if place else name
        if name in shape.required_members:
            yield f"{inner_place}: missing", {k: v for k, v in valid.items() if k != name}
        inner = valid[name] if name in valid else sample(member)
        for what, bad in violations(member, inner, inner_place):
            yield what, {**valid, name: bad}


def _of_string(shape: Shape, place: str) -> Iterator[tuple[str, Any]]:
    metadata = shape.metadata
    if "max" in metadata:
        yield f"{place}: too long", "x" * (metadata["max"] + 1)
    if metadata.get("min"):
        yield f"{place}: too short", ""
    if shape.enum:
        yield f"{place}: unknown", "NO_SUCH_VALUE"
    if not re.fullmatch(_python_pattern(shape), NONSENSE):
        yield f"{place}: of the wrong pattern", NONSENSE
    yield f"{place}: of the wrong type", 7


def _python_pattern(shape: Shape) -> str:
    """Return the model's pattern; those of tags use Java's classes, which accept plain words."""
    pattern = shape.metadata.get("pattern", "(?s).*").replace(r"\p{ASCII}", "[\x00-\x7f]")
    return "(?s)[^\x01]*" if r"\p{" in pattern else pattern
