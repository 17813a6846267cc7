r"""The values of placeholders, as they come with a request.

Amazon Personalize: ``filterValues`` of GetRecommendations. A value is one string that holds quoted
strings, joined by commas: ``"\"Comedy\",\"Drama\""``; or a number. One word may come without
quotation marks. ``Comedy,Drama`` is refused: it may be two values or one, and a list that is empty
for that reason explains nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from personalens.datasets.schema_rules import number_in
from personalens.filters.expressions import Condition, Filter, FilterError, Parameter, unquote

_QUOTED = re.compile(r'\s*("(?:\\.|[^"\\])*"|\'(?:\\.|[^\'\\])*\')\s*(,|$)')


def parse_values(text: str) -> tuple[str, ...]:
    r"""Return the strings of one ``filterValues`` entry; a bare word or number is one string.

    Raises
    ------
    FilterError
        If it begins with a quotation mark and then is not a list of quoted strings, or has a comma
        and no quotation marks.

    Examples
    --------
    >>> parse_values('"Comedy","War"')
    ('Comedy', 'War')
    >>> parse_values("1990")
    ('1990',)
    """
    if not text.lstrip().startswith(('"', "'")):
        if "," in text:
            parts = ",".join(f'"{part.strip()}"' for part in text.split(","))
            raise FilterError(
                f"The filter value {text!r} has a comma and no quotation marks. Write {parts} for "
                f'several values, or "{text}" for one.'
            )
        return (text.strip(),)
    values, place, more = [], 0, True
    while more:
        found = _QUOTED.match(text, place)
        if found is None:
            raise FilterError(
                f'The filter value {text!r} is not a list of quoted strings such as "a","b".'
            )
        values.append(unquote(found[1]))
        place, more = found.end(), found[2] == ","
    return tuple(values)


def missing_parameters(asked: Filter, given: Mapping[str, str]) -> list[str]:
    """Return the placeholders of INCLUDE expressions that have no value.

    EXCLUDE leaves out the conditions whose values are missing instead.
    """
    return [
        name
        for expression in asked.expressions
        if expression.includes
        for condition in (*expression.conditions, *expression.user_conditions)
        for name in condition.parameters
        if name not in given
    ]


def values_of(condition: Condition, given: Mapping[str, str]) -> tuple[str | float, ...] | None:
    """Return a condition's values with those of the request in place of its placeholders.

    Returns
    -------
    tuple or None
        Strings for IN and NOT IN, one number for a comparison; None if a value is missing.

    Raises
    ------
    FilterError
        If a comparison gets something else than one number.
    """
    values: list[str | float] = []
    for value in condition.values:
        if not isinstance(value, Parameter):
            values.append(value)
        elif value.name not in given:
            return None
        elif condition.operator in ("IN", "NOT IN"):
            values += parse_values(given[value.name])
        else:
            values.append(_number(value.name, given[value.name], condition))
    return tuple(values)


def _number(name: str, text: str, condition: Condition) -> float:
    values = parse_values(text)
    number = number_in(values[0]) if len(values) == 1 else None
    if number is None:
        raise FilterError(
            f"The filter value {name} is {text!r}; {condition.field} {condition.operator} ${name} "
            'needs one number, such as "1990".'
        )
    return number
