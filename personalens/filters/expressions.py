"""Filter expressions: from their text to what they say.

Amazon Personalize: ``filterExpression`` of CreateFilter.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, Literal, get_args

from lark import Lark, Transformer, UnexpectedCharacters, UnexpectedEOF, UnexpectedInput
from lark.exceptions import VisitError

MAX_CHARACTERS = 2500

Target = Literal["ItemID", "UserID", "ActionID"]
Dataset = Literal[
    "Interactions", "Items", "Users", "Actions", "Action_Interactions", "CurrentUser", "CurrentItem"
]
_TARGETS = {name.lower(): name for name in get_args(Target)}
_DATASETS = {name.lower(): name for name in get_args(Dataset)}


class FilterError(ValueError):
    """A filter expression that says nothing that can be done; the message says where and why."""


@dataclass(frozen=True)
class FieldName:
    """``Items.GENRES``. ``dataset`` is spelled as the service does, ``field`` as given."""

    dataset: str
    field: str

    def __str__(self) -> str:
        return f"{self.dataset}.{self.field}"


@dataclass(frozen=True)
class Parameter:
    """``$GENRE``: a value that comes with the request."""

    name: str


@dataclass(frozen=True)
class Condition:
    """One comparison: IN, NOT IN, =, !=, <, <=, > or >=.

    A comparison by a sign has one value. ``values`` are empty for ``(*)`` and ``("*")``, which take
    any value, and where the field ``reference`` of the current item gives the values instead.
    """

    field: FieldName
    operator: str
    values: tuple[str | float | Parameter, ...] = ()
    reference: FieldName | None = None

    @property
    def takes_anything(self) -> bool:
        """Whether it is ``IN (*)`` or ``NOT IN (*)``, with or without quotation marks."""
        return not self.values and self.reference is None

    @property
    def parameters(self) -> tuple[str, ...]:
        """Names of the values that come with the request."""
        return tuple(value.name for value in self.values if isinstance(value, Parameter))


@dataclass(frozen=True)
class Expression:
    """One INCLUDE or EXCLUDE. One group of ``alternatives`` must hold whole: OR of ANDs, AND binds
    closer. It counts only if the ``user_conditions`` hold of the user who asks."""

    includes: bool
    target: Target
    alternatives: tuple[tuple[Condition, ...], ...]
    user_conditions: tuple[Condition, ...] = ()

    @property
    def conditions(self) -> Iterator[Condition]:
        """All comparisons but those on the user who asks."""
        for group in self.alternatives:
            yield from group


@dataclass(frozen=True)
class Filter:
    """A whole filter: the union of what its INCLUDEs let in, less what its EXCLUDEs take out."""

    text: str
    expressions: tuple[Expression, ...]

    @property
    def target(self) -> Target:
        """What the filter is about."""
        return self.expressions[0].target

    @property
    def conditions(self) -> Iterator[Condition]:
        """All comparisons, those on the user who asks included."""
        for expression in self.expressions:
            yield from expression.conditions
            yield from expression.user_conditions

    @property
    def parameters(self) -> tuple[str, ...]:
        """Names of all values that come with the request, each once."""
        names = [name for condition in self.conditions for name in condition.parameters]
        return tuple(dict.fromkeys(names))


@lru_cache(maxsize=256)
def parse_filter(text: str) -> Filter:
    """Return what a filter expression says; FilterError with the column if it cannot be read.

    >>> shown = parse_filter('INCLUDE ItemID WHERE Items.YEAR >= 1990 AND Items.YEAR < $END')
    >>> [(str(c.field), c.operator, c.values) for c in shown.conditions]
    [('Items.YEAR', '>=', (1990.0,)), ('Items.YEAR', '<', (Parameter(name='END'),))]
    >>> parse_filter("INCLUDE ItemID WHERE Items.YEAR IS 1990")
    Traceback (most recent call last):
    ...
    personalens.filters.expressions.FilterError: The filter expression cannot be read at column 33:
    INCLUDE ItemID WHERE Items.YEAR IS 1990
                                    ^
    Expected there: IN, NOT IN or a comparison (= != < <= > >=).
    """
    if len(text) > MAX_CHARACTERS:
        raise FilterError(
            f"The filter expression has {len(text)} characters; {MAX_CHARACTERS} at most."
        )
    try:
        return Filter(text, _Reader().transform(_parser().parse(text)))
    except UnexpectedInput as error:
        raise FilterError(_explain(error, text)) from None
    except VisitError as error:
        if isinstance(error.orig_exc, FilterError):
            raise error.orig_exc from None
        raise


@cache
def _parser() -> Lark:
    grammar = Path(__file__).with_name("grammar.lark").read_text(encoding="utf-8")
    return Lark(grammar, start="filter", parser="lalr", maybe_placeholders=False)


class _Reader(Transformer):
    """Turns a parse tree into the classes above, from the leaves up."""

    def expression(self, parts: list[Any]) -> Expression:
        kind, target, alternatives, *user_conditions = parts
        includes = kind.lower() == "include"
        return Expression(includes, _TARGETS[target.lower()], alternatives, tuple(user_conditions))

    def all_of(self, parts: list[Any]) -> tuple[Any, ...]:
        return tuple(parts)

    any_of = filter = all_of

    def membership(self, parts: list[Any]) -> Condition:
        return _condition(parts[0], "IN", parts[-1])

    def absence(self, parts: list[Any]) -> Condition:
        return _condition(parts[0], "NOT IN", parts[-1])

    def comparison(self, parts: list[Any]) -> Condition:
        field, operator, operand = parts
        return _condition(field, str(operator), operand)

    def operand(self, parts: list[Any]) -> Any:
        return parts[0] if isinstance(parts[0], FieldName) else (parts[0],)

    def field(self, parts: list[Any]) -> FieldName:
        dataset, name = map(str, parts)
        if dataset.lower() not in _DATASETS:
            raise FilterError(
                f"The filter expression names the dataset {dataset!r} in {dataset}.{name}; there "
                f"are: {', '.join(_DATASETS.values())}."
            )
        return FieldName(_DATASETS[dataset.lower()], name)

    def anything(self, _: list[Any]) -> tuple[()]:
        return ()

    def values(self, parts: list[Any]) -> tuple[Any, ...]:
        return () if parts == ["*"] else tuple(parts)  # ("*"), as the developer guide writes (*)

    def string(self, parts: list[Any]) -> str:
        return unquote(str(parts[0]))

    def number(self, parts: list[Any]) -> float:
        return float(parts[0])

    def parameter(self, parts: list[Any]) -> Parameter:
        return Parameter(str(parts[0]))


def unquote(quoted: str) -> str:
    r"""Return what stands between quotation marks, a backslash taking the next character as it is.

    >>> unquote(r'"say \"hi\""')
    'say "hi"'
    """
    kept, characters = [], iter(quoted[1:-1])
    for character in characters:
        kept.append(next(characters) if character == "\\" else character)
    return "".join(kept)


def _condition(field: FieldName, operator: str, given: Any) -> Condition:
    if isinstance(given, FieldName):
        return Condition(field, operator, reference=given)
    return Condition(field, operator, tuple(given))


_WORDS = {
    "INCLUDE": "INCLUDE",
    "EXCLUDE": "EXCLUDE",
    "TARGET": "ItemID, UserID or ActionID",
    "_WHERE": "WHERE",
    "_IF": "IF",
    "_AND": "AND",
    "_OR": "OR",
    "IN": "IN",
    "NOT": "NOT IN",
    "COMPARISON": "a comparison (= != < <= > >=)",
    "NAME": "a name",
    "STRING": 'a value in quotation marks, such as "Drama"',
    "SIGNED_NUMBER": "a number",
    "DOLLAR": "a placeholder, such as $GENRE",
    "DOT": "a dot",
    "LPAR": "an opening parenthesis",
    "RPAR": "a closing parenthesis",
    "COMMA": "a comma",
    "STAR": "*",
    "VBAR": "|",
    "$END": "the end",
}


def _explain(error: UnexpectedInput, text: str) -> str:
    """Return where the text stops making sense, and what could stand there."""
    if (
        isinstance(error, UnexpectedEOF)
        or getattr(getattr(error, "token", ""), "type", "") == "$END"
    ):
        column, line = len(text.rstrip()) + 1, text
    else:
        line = text.splitlines()[error.line - 1] if error.line > 0 else text
        column = error.column
    allowed = error.allowed if isinstance(error, UnexpectedCharacters) else error.expected
    names = [words for name, words in _WORDS.items() if name in (allowed or ())]
    expected = " or ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
    pointer = " " * (column - 1) + "^"
    return (
        f"The filter expression cannot be read at column {column}:\n{line}\n{pointer}\n"
        f"Expected there: {expected}.{_advice(line, column - 1)}"
    )


_COMPARED_STRING = re.compile(
    r"""(?P<field>\w+\.\w+)\s*(?P<operator>!=|<>|==?|[<>]=?|\bnot\s+in\b|\bin\b)\s*\(?\s*
    (?P<value>"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|[a-z_][\w-]*(?![\w.]))""",
    re.IGNORECASE | re.VERBOSE,
)


def _advice(line: str, place: int) -> str:
    """Return how to compare the string at a place of the expression; nothing if there is none."""
    for found in _COMPARED_STRING.finditer(line):
        if found.start("operator") <= place <= found.end():
            value = found["value"]
            value = unquote(value) if value[0] in "\"'" else value
            operator = "NOT IN" if found["operator"].lower()[0] in "!n" else "IN"
            if found["operator"] == "<>":
                operator = "NOT IN"
            right = f"{found['field']} {operator} ({json.dumps(value, ensure_ascii=False)})"
            return f" Strings take IN, with quotation marks and parentheses: {right}."
    return ""
