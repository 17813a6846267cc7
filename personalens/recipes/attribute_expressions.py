"""Expressions of item attributes: ``ITEMS.genres = "Drama" AND ITEMS.year = "1994"``."""

from __future__ import annotations

import re

import numpy as np

from personalens.datasets.metadata import SEPARATOR, Field, Metadata

_TERM = r'\s*ITEMS\.(\w+)\s*=\s*"((?:[^"\\]|\\.)*)"\s*'
_EXPRESSION = re.compile(rf"{_TERM}(?:\bAND\b{_TERM})*", re.IGNORECASE)
_FORM = 'ITEMS.<field> = "<value>", several of them joined by AND'


def parse_attribute_expression(expression: str) -> list[tuple[str, str]]:
    """Return the fields and the values that an expression asks for.

    Raises
    ------
    ValueError
        If it is not of the form that the service takes: equality and AND only.

    Examples
    --------
    >>> parse_attribute_expression('ITEMS.genres = "Sci-Fi" AND ITEMS.price = "9"')
    [('genres', 'Sci-Fi'), ('price', '9')]
    """
    if not _EXPRESSION.fullmatch(expression):
        raise ValueError(f"cannot read the expression {expression!r}: write {_FORM}")
    return [
        (name, re.sub(r"\\(.)", r"\1", value))
        for name, value in re.findall(_TERM, expression, re.IGNORECASE)
    ]


def items_with_attributes(items: Metadata, expression: str) -> np.ndarray:
    """Return the codes of the items that have all the attributes, ascending; maybe none.

    A field is named in upper or lower case; of several categories joined by ``|`` each matches; a
    number matches what reads as the same number.

    Raises
    ------
    ValueError
        If the expression cannot be read, or names a field that the items do not have.
    """
    fields = {name.upper(): field for name, field in items.fields.items() if field.kind != "text"}
    matches = np.ones(len(items), bool)
    for name, value in parse_attribute_expression(expression):
        if name.upper() not in fields:
            raise ValueError(
                f"the items have no field {name!r} that can be asked for; choose "
                f"{', '.join(fields) or 'another recipe: there is none'}"
            )
        matches &= _has_value(fields[name.upper()], value)
    return np.flatnonzero(matches)


def _has_value(field: Field, value: str) -> np.ndarray:
    if field.kind == "numeric":
        try:
            return field.values == float(value)
        except ValueError:
            raise ValueError(f"{field.name} holds numbers; {value!r} is none") from None
    known = ~field.is_missing
    return np.array(
        [
            is_known and value in str(own).split(SEPARATOR)
            for own, is_known in zip(field.values, known, strict=True)
        ],
        bool,
    )
