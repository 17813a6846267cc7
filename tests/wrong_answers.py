"""Answers that no self-check of a lab may take, and forms in which it must take a right one.

Used on checks alone, and in the labs' own kernels: there a right answer is at hand for each check,
so that it can be spoiled in one place after another.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from personalens.notebook import checks

WRONG = (
    None,
    "",
    "x",
    "no-such-film",
    "arn:aws:personalize:us-east-1:123456789012:campaign/no-such",
    0,
    -1,
    3.5,
    float("nan"),
    float("inf"),
    1e300,
    10**30,
    True,
    [],
    [1, 2],
    (1, 2),
    ["x", "y"],
    {},
    {"x": 1},
    object(),
    b"x",
    np.array([1, 2]),
    np.array(["x", None], dtype=object),
    pd.DataFrame(),
    pd.DataFrame({"x": [1, 2]}),
    pd.Series([1, 2]),
)


def is_done(lab: Any, name: str, answer: tuple[Any, ...]) -> bool:
    """Return whether a check says done, strict or not; what else it raises comes out."""
    said = io.StringIO()
    try:
        with contextlib.redirect_stdout(said):
            checks.run_check(lab, name, answer)
    except checks.CheckFailed:
        return False
    return "✓" in said.getvalue()


def spoiled(answer: tuple[Any, ...]) -> Iterator[tuple[Any, ...]]:
    """Yield a right answer with something wrong in one of its places, and of another length."""
    for place, right in enumerate(answer):
        for wrong in (*WRONG, *_near_misses(right)):
            if not _is_same(right, wrong):
                yield (*answer[:place], wrong, *answer[place + 1 :])
    yield (*answer, *answer, "x")


def in_other_forms(answer: tuple[Any, ...]) -> Iterator[tuple[Any, ...]]:
    """Yield a right answer as a learner may have written it just as well."""
    for place, right in enumerate(answer):
        for form in _forms(right):
            yield (*answer[:place], form, *answer[place + 1 :])


def watch_the_checks() -> None:
    """From now on, in this process, spoil every answer that a lab's check has found right."""
    genuine = checks.run_check

    def run_check(lab: Any, name: str, answer: tuple[Any, ...] = ()) -> None:
        genuine(lab, name, answer)
        if any(value is None for value in answer):
            return
        checks.run_check = genuine
        try:
            taken = [wrong for wrong in spoiled(answer) if answer and is_done(lab, name, wrong)]
            assert not taken, f"check {name} says done to {taken[0]!r}"
            forms = in_other_forms(answer) if "." in name else ()
            refused = [form for form in forms if not is_done(lab, name, form)]
            assert not refused, f"check {name} refuses {refused[0]!r}"
        finally:
            checks.run_check = run_check

    checks.run_check = run_check


def _near_misses(right: Any) -> list[Any]:
    if isinstance(right, (bool, np.bool_)):
        return [not right]
    if isinstance(right, (int, float, np.number)):
        return [right * 1.5 + 1, -right - 1]
    if isinstance(right, str):
        return [right + "x", [right]]
    if isinstance(right, (pd.DataFrame, pd.Series)):
        return [right.iloc[:0]]
    return []


def _forms(right: Any) -> list[Any]:
    if isinstance(right, (list, tuple)):
        forms = [list(right), tuple(right), pd.Series(list(right))]
        if all(isinstance(value, str) and value.isdecimal() for value in right):
            forms.append([np.int64(value) for value in right])
        return forms
    if isinstance(right, (int, float, np.number)) and not isinstance(right, bool):
        exact = float(right) == int(right)
        return [np.float64(right), np.array(right), *([np.int64(right)] if exact else [])]
    return []


def _is_same(right: Any, wrong: Any) -> bool:
    numbers = (int, float, np.number)
    return (
        isinstance(right, numbers) and isinstance(wrong, numbers) and float(right) == float(wrong)
    )
