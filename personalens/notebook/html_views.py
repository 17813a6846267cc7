"""Small, accessible HTML for tables and resources; each has a plain-text form too."""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

_PACKAGE_ROOT = Path(__file__).resolve().parents[2]
_CAPTION = '<caption style="caption-side:top;text-align:left;font-weight:600;white-space:nowrap">'
_LEFT = ' style="text-align:left"'  # notebooks align to the right, as suits numbers
_HIDDEN_MEMBERS = {"creationDateTime", "lastUpdatedDateTime", "ResponseMetadata"}


@dataclass(frozen=True, eq=False)
class TitledTable:
    """A table with a caption. Integers in columns named in capitals, the data sets' own, are shown
    as they are (an epoch second is no quantity); others get separators from 10,000 on. The index is
    shown only if it has a name.

    >>> TitledTable(pd.DataFrame({"film": ["Up"], "score": [0.5]}), "Best", digits=1)
    Best
    film score
      Up   0.5
    """

    frame: pd.DataFrame
    caption: str
    digits: int = 3

    def _cells(self) -> pd.DataFrame:
        frame = self.frame.reset_index() if self.frame.index.name else self.frame

        def cells(column: pd.Series) -> pd.Series:
            thousands = "" if str(column.name).isupper() else ","
            return column.map(lambda value: format_value(value, self.digits, thousands=thousands))

        return frame.apply(cells)

    def __repr__(self) -> str:
        return f"{self.caption}\n{self._cells().to_string(index=False)}"

    def _repr_html_(self) -> str:
        cells = self._cells()
        numbers = {c for c in self.frame if pd.api.types.is_numeric_dtype(self.frame[c])}
        style = {name: "" if name in numbers else _LEFT for name in cells.columns}
        head = "".join(
            f'<th scope="col"{style[name]}>{escape(str(name))}</th>' for name in cells.columns
        )
        body = "".join(
            "<tr>" + "".join(f"<td{style[name]}>{escape(row[name])}</td>" for name in row) + "</tr>"
            for row in cells.to_dict("records")
        )
        return (
            f"<table>{_CAPTION}{escape(self.caption)}</caption>"
            f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
        )


@dataclass(frozen=True, eq=False)
class ResourceCard:
    """What a Describe call says about one resource, without the clocks.

    >>> ResourceCard({"name": "films", "status": "ACTIVE"}, "Dataset group")
    Dataset group
      name    films
      status  ACTIVE
    """

    resource: Mapping[str, Any]
    caption: str

    def members(self) -> dict[str, str]:
        """Return the members shown, nested ones under dotted names."""
        return {name: format_value(value) for name, value in _flatten(self.resource)}

    def __repr__(self) -> str:
        members = self.members()
        width = max((len(name) for name in members), default=0)
        lines = [f"  {name:<{width}}  {value}" for name, value in members.items()]
        return "\n".join([self.caption, *lines])

    def _repr_html_(self) -> str:
        rows = "".join(
            f'<tr><th scope="row"{_LEFT}>{escape(name)}</th>'
            f"<td{_LEFT}><code>{escape(value)}</code></td></tr>"
            for name, value in self.members().items()
        )
        return f"<table>{_CAPTION}{escape(self.caption)}</caption><tbody>{rows}</tbody></table>"


@dataclass(frozen=True, eq=False)
class SourceExcerpt:
    """The first lines of a function or class without its docstring, and the file they stand in."""

    target: Any
    most: int = 30

    def __repr__(self) -> str:
        path = Path(inspect.getsourcefile(self.target)).resolve()
        shown = path.relative_to(_PACKAGE_ROOT) if path.is_relative_to(_PACKAGE_ROOT) else path.name
        # Without line numbers: they change with every change above, in all labs.
        lines = textwrap.dedent(inspect.getsource(self.target)).splitlines()
        if getattr(self.target, "__doc__", None):
            lines = _without_docstring(lines)
        body = lines[: self.most] + ["..."] * (len(lines) > self.most)
        return "\n".join([Path(shown).as_posix(), "", *body])


def format_value(value: Any, digits: int = 3, *, thousands: str = ",") -> str:
    """Return a value as a reader wants to see it: rounded floats, long integers with separators,
    a dash for what is missing.

    >>> [format_value(value) for value in (1995, 100836, 0.12345, None, True, ["a", "b"])]
    ['1995', '100,836', '0.123', '–', 'yes', 'a, b']
    """
    if isinstance(value, (list, tuple, np.ndarray)):
        return ", ".join(format_value(element, digits) for element in value)
    if value is None or (pd.api.types.is_scalar(value) and pd.isna(value)):
        return "–"
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    if pd.api.types.is_integer(value):
        return f"{value:,}".replace(",", thousands) if abs(value) >= 10_000 else str(value)
    if pd.api.types.is_float(value):
        return f"{float(value):,.{digits}f}".replace(",", thousands)
    return str(value)


def _flatten(resource: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    members: list[tuple[str, Any]] = []
    for name, value in resource.items():
        if name in _HIDDEN_MEMBERS:
            continue
        if isinstance(value, Mapping):
            members += _flatten(value, f"{prefix}{name}.")
        else:
            members.append((prefix + name, value))
    return members


def _without_docstring(lines: list[str]) -> list[str]:
    with_quotes = [place for place, text in enumerate(lines) if '"""' in text]
    if not with_quotes:
        return lines
    start = with_quotes[0]
    end = start if lines[start].count('"""') == 2 else with_quotes[1]
    return lines[:start] + lines[end + 1 :]
