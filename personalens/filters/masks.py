"""A filter, compiled for items (or users, or actions): one mask over all of them a request."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from personalens.datasets.id_maps import IdMap
from personalens.datasets.metadata import SEPARATOR, Metadata, categorical_values
from personalens.datasets.schema_rules import number_in
from personalens.filters.expressions import (
    Condition,
    Expression,
    Filter,
    FilterError,
    Parameter,
    unquote,
)
from personalens.filters.field_rules import EVENT_DATASETS

NEWEST_EVENTS, NEWEST_ACTION_EVENTS = 100, 300
"""Events of each type of a user that a filter looks at."""
_ID_FIELDS = ("ITEM_ID", "USER_ID", "ACTION_ID")
_COMPARE: dict[str, Callable[[Any, Any], Any]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_QUOTED = re.compile(r'\s*("(?:\\.|[^"\\])*"|\'(?:\\.|[^\'\\])*\')\s*(,|$)')


@dataclass(frozen=True, eq=False)
class Circumstances:
    """Who asks, about what.

    ``event_codes`` (n,) are what the user has had events with, oldest first, in the codes of the
    index; ``event_types`` (n,) are None for events without types. To choose users, both are those
    who have had an event. ``user`` and ``item`` are the metadata rows of the user who asks and of
    the item that related ones are asked for; ``parameters`` are ``filterValues``.
    """

    event_codes: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int32))
    event_types: np.ndarray | None = None
    user: Mapping[str, Any] = field(default_factory=dict)
    item: Mapping[str, Any] = field(default_factory=dict)
    parameters: Mapping[str, str] = field(default_factory=dict)


class FieldIndex:
    """Items (or users, or actions) and, by field, which of them have a value."""

    def __init__(self, ids: IdMap, metadata: Metadata | None):
        self._ids = ids
        fields = {} if metadata is None else metadata.fields
        self._fields = {name.upper(): each for name, each in fields.items()}
        self._members: dict[str, dict[str, np.ndarray]] = {}

    @property
    def size(self) -> int:
        """How many there are."""
        return len(self._ids)

    def numbers(self, name: str) -> np.ndarray:
        """Return (size,) float64 of a numeric field; NaN where it is missing."""
        found = self._fields.get(name.upper())
        if found is None or found.kind != "numeric":
            return np.full(self.size, np.nan)
        return found.values

    def members(self, name: str, values: Sequence[str]) -> np.ndarray:
        """Return (size,) bool: who has one of these values among those of a string field."""
        found = np.zeros(self.size, bool)
        if name.upper() in _ID_FIELDS:
            codes = self._ids.encode(values)
            found[codes[codes >= 0]] = True
            return found
        positions = self._positions(name.upper())
        for value in values:
            if value in positions:
                found[positions[value]] = True
        return found

    def _positions(self, name: str) -> dict[str, np.ndarray]:
        """Return value -> the (m,) positions that have it, made when first asked for."""
        if name not in self._members:
            known = self._fields.get(name)
            self._members[name] = {} if known is None else _positions_by_value(known)
        return self._members[name]


def _positions_by_value(known: Any) -> dict[str, np.ndarray]:
    offsets, codes, vocabulary = categorical_values(known)
    rows = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
    order = np.argsort(codes, kind="stable")
    borders = np.searchsorted(codes[order], np.arange(len(vocabulary) + 1))
    return {
        word: rows[order[borders[number] : borders[number + 1]]]
        for number, word in enumerate(vocabulary)
    }


class CompiledFilter:
    """A filter for one index. Safe to share between threads.

    Notes
    -----
    * What is let in is the union of the INCLUDEs, or everything without one, less the union of the
      EXCLUDEs, in whatever order they stand.
    * An expression whose IF does not hold of the user counts as not written.
    * A missing value is equal to nothing and in no list, so NOT IN and != hold of it.
    * An EXCLUDE leaves out the alternatives whose placeholders have no value.
    * Of events count the newest 100 of each type, in whatever case the type is written.

    Amazon Personalize: "Filter expressions" in the developer guide. That AND binds closer than OR,
    and what holds of missing values, the guide does not say.
    """

    def __init__(self, asked: Filter, index: FieldIndex):
        self.filter, self._index = asked, index

    @cached_property
    def datasets(self) -> frozenset[str]:
        """What the conditions ask about, such as "Interactions" and "CurrentUser"."""
        return frozenset(condition.field.dataset for condition in self.filter.conditions)

    @cached_property
    def is_static(self) -> bool:
        """Whether everybody gets the same mask in every request."""
        return not any(
            condition.parameters
            or condition.reference is not None
            or condition.field.dataset in (*EVENT_DATASETS, "CurrentUser")
            for condition in self.filter.conditions
        )

    @cached_property
    def _static_mask(self) -> np.ndarray:
        return self._mask(Circumstances())

    def mask(self, circumstances: Circumstances) -> np.ndarray:
        """Return (size,) bool: who may stand in the list. Do not write to it."""
        return self._static_mask if self.is_static else self._mask(circumstances)

    def _mask(self, circumstances: Circumstances) -> np.ndarray:
        if missing := missing_parameters(self.filter, circumstances.parameters):
            raise FilterError(
                f"The filter needs a value for ${missing[0]}: give it in filterValues."
            )
        user, given = circumstances.user, circumstances.parameters
        counting = [
            expression
            for expression in self.filter.expressions
            if all(_holds(condition, user, given) for condition in expression.user_conditions)
        ]
        included = [self._matches(e, circumstances) for e in counting if e.includes]
        excluded = [self._matches(e, circumstances) for e in counting if not e.includes]
        size = self._index.size
        allowed = np.logical_or.reduce(included) if included else np.ones(size, bool)
        return allowed & ~np.logical_or.reduce(excluded) if excluded else allowed

    def _matches(self, expression: Expression, circumstances: Circumstances) -> np.ndarray:
        found = np.zeros(self._index.size, bool)
        for group in expression.alternatives:
            masks = [self._condition(condition, circumstances) for condition in group]
            if all(mask is not None for mask in masks):
                found |= np.logical_and.reduce(masks)
        return found

    def _condition(self, condition: Condition, circumstances: Circumstances) -> np.ndarray | None:
        """Return (size,) bool; None where a value is missing."""
        values = (
            values_of(condition, circumstances.parameters)
            if condition.reference is None
            else _values_in(circumstances.item, condition)
        )
        if values is None:
            return None
        if condition.field.dataset in EVENT_DATASETS:
            found = self._touched(condition, values, circumstances)
        elif condition.operator in ("IN", "NOT IN"):
            found = self._index.members(condition.field.field, values)
        else:
            numbers = self._index.numbers(condition.field.field)
            return _compare(condition.operator, numbers, values)
        return ~found if condition.operator == "NOT IN" else found

    def _touched(
        self, condition: Condition, types: Sequence[str], circumstances: Circumstances
    ) -> np.ndarray:
        """Return (size,) bool: what the user has had an event with, of these types."""
        found = np.zeros(self._index.size, bool)
        codes, event_types = circumstances.event_codes, circumstances.event_types
        limit = NEWEST_EVENTS if condition.field.dataset == "Interactions" else NEWEST_ACTION_EVENTS
        if self.filter.target == "UserID":  # of all users together, each named once for a type
            limit = len(codes)
        if event_types is None:
            if condition.takes_anything:
                found[codes[-limit:]] = True
            return found
        names = np.array([str(name).casefold() for name in event_types], dtype=object)
        wanted = set(names) if condition.takes_anything else {str(t).casefold() for t in types}
        for name in wanted:
            found[codes[names == name][-limit:]] = True
        return found


def _compare(symbol: str, numbers: np.ndarray, values: Sequence[Any]) -> np.ndarray:
    if not values:  # the current item does not have the field
        return np.zeros(len(numbers), bool)
    with np.errstate(invalid="ignore"):
        return _COMPARE[symbol](numbers, float(values[0]))


def _values_in(row: Mapping[str, Any], condition: Condition) -> tuple[Any, ...]:
    """Return the values of a current item's field; none where it is missing."""
    value = _lookup(row, condition.reference.field)
    if value is None:
        return ()
    return tuple(str(value).split(SEPARATOR)) if isinstance(value, str) else (value,)


def _lookup(row: Mapping[str, Any], name: str) -> Any:
    return next((value for key, value in row.items() if key.upper() == name.upper()), None)


def _holds(condition: Condition, user: Mapping[str, Any], given: Mapping[str, str]) -> bool:
    """Return whether a condition on the user who asks holds; not where a value is missing."""
    values = values_of(condition, given)
    if values is None:
        return False
    value = _lookup(user, condition.field.field)
    if condition.operator in ("IN", "NOT IN"):
        parts = set() if value is None else set(str(value).split(SEPARATOR))
        return parts.isdisjoint(values) == (condition.operator == "NOT IN")
    if value is None:
        return condition.operator == "!="
    try:
        return bool(_COMPARE[condition.operator](float(value), float(values[0])))
    except ValueError:
        raise FilterError(
            f"{condition.field} is {value!r}, which {condition.operator} cannot compare."
        ) from None


def missing_parameters(asked: Filter, given: Mapping[str, str]) -> list[str]:
    """Return the placeholders without a value of INCLUDE expressions; an EXCLUDE just leaves out
    the conditions whose values are missing."""
    return [
        name
        for expression in asked.expressions
        if expression.includes
        for condition in (*expression.conditions, *expression.user_conditions)
        for name in condition.parameters
        if name not in given
    ]


def values_of(condition: Condition, given: Mapping[str, str]) -> tuple[str | float, ...] | None:
    """Return a condition's values with those of the request in place of its placeholders: strings
    for IN and NOT IN, one number for a comparison. None if a value is missing."""
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


def parse_values(text: str) -> tuple[str, ...]:
    r"""Return the strings of one ``filterValues`` entry.

    Amazon Personalize: a value is one string that holds quoted strings, joined by commas. One word
    or number may come without quotation marks. ``Comedy,Drama`` is refused: it may be two values or
    one, and a list that is empty for that reason explains nothing.

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
