"""Columns of a table made in Python, held to what an import holds a file to.

A table has what no file has: times in any unit, missing values in several forms, numbers for
identifiers. Each column comes out as an import would have stored it, or with the row in which it
cannot: never as a number that only looks like a time.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd

from personalens.datasets.column_checks import MAX_EPOCH_SECONDS, MAX_ID_CHARACTERS, seconds_advice

_TIMES = ("datetime", "datetime64", "date")
_SEVERAL = 'is several values; give one text, with "|" between several categories'
_HALF_A_CHARACTER = (
    "has half a character (a surrogate without its other half), which no file can hold"
)


def require_columns(frame: pd.DataFrame, names: Iterable[str], what: str) -> None:
    """Raise unless a table is one and has these columns, and each of its columns once."""
    if not isinstance(frame, pd.DataFrame):
        raise TypeError(f"the {what} must be a table (a pandas DataFrame), not {repr(frame)[:60]}")
    columns = [str(name) for name in frame.columns]
    if missing := [name for name in names if name not in columns]:
        there = ", ".join(columns[:20]) or "no column"
        raise ValueError(f"the {what} lack the column {', '.join(missing)}; the table has {there}")
    if repeated := [name for place, name in enumerate(columns) if name in columns[:place]]:
        raise ValueError(f"the {what} have the column {repeated[0]} more than once")


def id_column(frame: pd.DataFrame, name: str) -> np.ndarray:
    """Return a column of identifiers as (n,) object of strings: texts, or whole numbers."""
    column = frame[name]
    try:
        texts = {value: _id_text(value) for value in column.unique()}
    except TypeError:  # lists and the like, of which no set can be made
        _refuse(column, [_id_text(value) is None for value in column], _why_no_id([]))
        raise
    for value, text in texts.items():
        if text is None or not 0 < len(text) <= MAX_ID_CHARACTERS:
            _refuse(column, _is(column, value), _why_no_id(value))
    if pd.api.types.infer_dtype(column, skipna=False) == "string":
        return column.to_numpy(dtype=object)
    return column.map(texts).to_numpy(dtype=object)


def time_column(frame: pd.DataFrame, name: str) -> np.ndarray:
    """Return a column of moments as (n,) int64 epoch seconds; parts of a second are cut off.

    Moments without a time zone are in UTC.
    """
    column = frame[name]
    seconds = _seconds(column)
    if seconds is None:
        _refuse(column, _is_no_number(column), "is not a time: give epoch seconds, or a datetime")
        seconds = _numbers(column)
    _refuse(column, column.isna(), "is missing, and an event has a time")
    _refuse_beyond(column, seconds)
    _refuse(column, seconds < 0, "must be at least 0, which is 1970")
    return np.floor(seconds).astype(np.int64) if seconds.dtype != np.int64 else seconds


def number_column(column: pd.Series) -> np.ndarray:
    """Return a column of numbers as (n,) int64, or as float64 with NaN where one is missing."""
    _refuse(column, _is_no_number(column), "is not a number")
    numbers = _numbers(column)
    _refuse(column, np.isinf(numbers), "is not a finite number; leave it missing")
    return numbers


def seconds_column(column: pd.Series) -> np.ndarray | None:
    """Return a column of moments as (n,) float64 epoch seconds, NaN where missing; None if it holds
    something else."""
    return None if (seconds := _seconds(column)) is None else seconds.astype(np.float64)


def optional_time_column(column: pd.Series) -> np.ndarray:
    """Return a column of epoch seconds or moments as (n,) float64, NaN where missing."""
    seconds = seconds_column(column)
    seconds = number_column(column).astype(np.float64) if seconds is None else seconds
    _refuse_beyond(column, seconds)
    return seconds


def text_column(column: pd.Series) -> np.ndarray:
    """Return a column as (n,) object of strings, None where missing."""
    values = column.astype(object).where(column.notna(), None)
    if pd.api.types.infer_dtype(values, skipna=True) != "string":
        _refuse(column, values.map(pd.api.types.is_list_like), _SEVERAL)
    texts = [None if value is None else str(value) for value in values]
    _refuse(column, [text is not None and not is_utf8(text) for text in texts], _HALF_A_CHARACTER)
    return np.array(texts, dtype=object)


def is_utf8(text: str) -> bool:
    """Return whether a text can be written to a file."""
    return text.isascii() or not any("\ud800" <= character <= "\udfff" for character in text)


def is_boolean(column: pd.Series) -> bool:
    """Return whether a column holds true and false, and perhaps missing values."""
    if pd.api.types.is_bool_dtype(column.dtype):
        return True
    return pd.api.types.infer_dtype(column, skipna=True) == "boolean"


def _seconds(column: pd.Series) -> np.ndarray | None:
    """Return epoch seconds if the column holds moments in some form, float64 if one is missing."""
    if not len(column):
        return None
    if not pd.api.types.is_datetime64_any_dtype(column.dtype):
        if pd.api.types.infer_dtype(column, skipna=True) not in _TIMES:
            return None
        column = column.astype(object).where(column.notna(), None)
    moments = pd.to_datetime(column, utc=True).dt.as_unit("us")
    microseconds = moments.astype("int64").to_numpy()
    if not moments.isna().any():
        return microseconds // 1_000_000
    return np.where(moments.isna(), np.nan, microseconds // 1_000_000)


def _numbers(column: pd.Series) -> np.ndarray:
    """Return a column without anything but numbers as int64 if it can be, else float64."""
    numbers = pd.to_numeric(column)
    if pd.api.types.is_integer_dtype(numbers.dtype) and not numbers.isna().any():
        return numbers.to_numpy(np.int64)
    return numbers.to_numpy(np.float64, na_value=np.nan)


def _is_no_number(column: pd.Series) -> np.ndarray:
    """Return (n,) bool: what is there and is no number, nor text that is one."""
    if is_boolean(column) and column.notna().any():
        return column.notna().to_numpy()
    if pd.api.types.is_numeric_dtype(column.dtype):
        return np.zeros(len(column), bool)
    numbers = pd.to_numeric(column.astype(object), errors="coerce")
    return (pd.isna(numbers) & column.notna()).to_numpy()


def _refuse_beyond(column: pd.Series, seconds: np.ndarray) -> None:
    is_beyond = seconds > MAX_EPOCH_SECONDS
    if is_beyond.any():
        advice = seconds_advice(seconds[is_beyond][0])
        _refuse(column, is_beyond, f"is not in epoch seconds{advice}")


def _is(column: pd.Series, value: Any) -> np.ndarray:
    return column.isna().to_numpy() if _is_missing(value) else (column == value).to_numpy(bool)


def _is_missing(value: Any) -> bool:
    if value is None or value is pd.NA or value is pd.NaT:
        return True
    return not pd.api.types.is_list_like(value) and bool(value != value)


def _id_text(value: Any) -> str | None:
    if isinstance(value, str):
        return str(value) if is_utf8(value) else None
    if isinstance(value, int | np.integer) and not isinstance(value, bool):
        return str(int(value))
    return None


def _why_no_id(value: Any) -> str:
    limits = f"an identifier has 1 to {MAX_ID_CHARACTERS} characters"
    if _is_missing(value):
        return f"is missing; {limits}"
    if isinstance(value, str) and not is_utf8(value):
        return _HALF_A_CHARACTER
    if isinstance(value, str):
        return f"is empty; {limits}" if not value else f"is too long; {limits}"
    if isinstance(value, float | np.floating):
        return (
            "is a number with a decimal point; identifiers are text or whole numbers. Numbers with"
            ' gaps become so: drop the rows without one, then .astype("int64")'
        )
    return "is no identifier; identifiers are text or whole numbers"


def _refuse(column: pd.Series, is_bad: Any, reason: str) -> None:
    """Raise for the first row in which something is wrong."""
    is_bad = np.asarray(is_bad, bool)
    if not is_bad.any():
        return
    place, count = int(is_bad.argmax()), int(is_bad.sum())
    value = column.iloc[place]
    shown = "" if _is_missing(value) else str(value).encode(errors="replace").decode()
    shown = shown if len(shown) <= 60 else f"{shown[:60]}…"
    more = f" (and {count - 1:,} more)" if count > 1 else ""
    raise ValueError(
        f'row {column.index[place]}, column {column.name}, value "{shown}": {reason}{more}'
    )
