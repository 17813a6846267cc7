"""Self-checks: a cell ``lab.check("3b")`` says done, not yet (with a hint), or not answered yet.

A check takes any answer and never raises: what it cannot read is a wrong answer. Only in strict
mode (``PERSONALENS_STRICT=1``, set where labs are tested) one that fails raises
:class:`CheckFailed`. An exercise that nobody has answered never raises: an unfilled copy of a lab
runs to its end. The checks themselves are in :mod:`personalens.notebook.lab_checks`.
"""

from __future__ import annotations

import inspect
import os
import re
import reprlib
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from personalens.notebook.messages import say

if TYPE_CHECKING:
    from personalens.notebook.lab_session import LabSession

STRICT_VARIABLE = "PERSONALENS_STRICT"


class NotYet(Exception):
    """Raised by a check: what is missing or wrong, in the learner's terms."""


class CheckFailed(AssertionError):
    """A check failed in strict mode."""


@dataclass(frozen=True)
class Check:
    """One self-check: ``test(lab, *answer)`` returns what it found, or raises :class:`NotYet`."""

    test: Callable[..., str]
    hint: str


CHECKS: dict[str, Check] = {}


def check(name: str, *, hint: str) -> Callable[[Callable[..., str]], Callable[..., str]]:
    """Register a function as the check of this name."""

    def register(test: Callable[..., str]) -> Callable[..., str]:
        if name in CHECKS:
            raise ValueError(f"there are two checks named {name!r}")
        CHECKS[name] = Check(test, hint)
        return test

    return register


def is_strict() -> bool:
    """Return whether a failed check raises."""
    return os.environ.get(STRICT_VARIABLE, "") not in ("", "0")


def run_check(lab: LabSession, name: str, answer: tuple[Any, ...] = ()) -> None:
    """Run one check and print one line about it."""
    from personalens.notebook import lab_checks  # noqa: F401  registers the checks

    if name not in CHECKS:
        of_lab = re.compile(rf"{lab.number}(\.\d+|[a-z])")
        own = ", ".join(sorted(filter(of_lab.fullmatch, CHECKS)))
        raise ValueError(f"there is no check {name!r}; lab {lab.number:02d} has {own or 'none'}")
    found = CHECKS[name]
    if any(value is None or value is ... for value in answer):
        say(f"… {name} not answered yet. Replace the None above, then run the cell again.")
        return
    try:
        text = _tested(found, lab, answer)
    except NotYet as problem:
        message = f"{name} not yet: {problem} Hint: {found.hint}"
        if is_strict():
            raise CheckFailed(message) from None
        say(f"✗ {message}")
        return
    say(f"✓ {name} done: {text}")


def _tested(found: Check, lab: LabSession, answer: tuple[Any, ...]) -> str:
    """Return what the check found; NotYet for every answer that it cannot use."""
    least, most = answers_taken(found.test)
    if not least <= len(answer) <= most:
        raise NotYet(f"the check takes {least} answer{'s'[: least != 1]}, and got {len(answer)}.")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what a wrong answer makes of a formula
            return found.test(lab, *answer)
    except NotYet:
        raise
    except ClientError as error:
        raise NotYet(f"the service says: {error.response['Error']['Message']}") from None
    except BotoCoreError as error:
        raise NotYet(f"the service cannot be asked: {error}.") from None
    except Exception as error:  # an answer may be anything, and so may go wrong in any way
        if not answer:
            raise NotYet(f"the check could not be made: {error}.") from None
        given = ", ".join(map(_shown, answer))
        raise NotYet(f"the check cannot read this answer: {given}.") from None


def answers_taken(test: Callable[..., str]) -> tuple[int, float]:
    """Return the least and the greatest number of answers of a check, the session not counted."""
    _, *taken = inspect.signature(test).parameters.values()
    is_open = any(one.kind is one.VAR_POSITIONAL for one in taken)
    return len(taken), float("inf") if is_open else len(taken)


def _shown(value: Any) -> str:
    """Return a short text or a number as it is, of everything else the kind."""
    return reprlib.repr(value) if isinstance(value, (str, int, float)) else kind_of(value)


_KINDS = {
    "str": "text",
    "bytes": "bytes",
    "bool": "True or False",
    "list": "a list",
    "tuple": "a tuple",
    "dict": "a dictionary",
    "set": "a set",
    "int": "a number",
    "float": "a number",
    "DataFrame": "a table",
    "Series": "a column of a table",
    "ndarray": "an array",
}


def kind_of(answer: Any) -> str:
    """Return what an answer is, in words: "a list"."""
    return _KINDS.get(type(answer).__name__, f"an object of the kind {type(answer).__name__}")


class ExpectedError:
    """A context in which a service error of one code must occur; it is shown, not raised.

    Examples
    --------
    >>> with ExpectedError("ZeroDivisionError"):
    ...     1 / 0
    Expected ZeroDivisionError: division by zero
    """

    def __init__(self, code: str, *, show_message: bool = True):
        self.code = code
        self.show_message = show_message
        self.message = ""

    def __enter__(self) -> ExpectedError:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        if error is None:
            raise AssertionError(f"expected {self.code}, but nothing went wrong")
        code, self.message = type(error).__name__, str(error)
        if isinstance(error, ClientError):
            details = error.response["Error"]
            code, self.message = details["Code"], details["Message"]
        if self.code not in (code, type(error).__name__):
            return False
        say(f"Expected {self.code}" + (f": {self.message}" if self.show_message else "."))
        return True
