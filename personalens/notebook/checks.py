"""Self-checks: a cell ``lab.check("3b")`` says done, not yet (with a hint), or not answered yet.

A check takes any answer and never raises: what it cannot read is a wrong answer. Only in strict
mode (``PERSONALENS_STRICT=1``, set where labs are tested) one that fails raises
:class:`CheckFailed`. An exercise that nobody has answered never raises: an unfilled copy of a lab
runs to its end. The checks themselves stand with the labs, in ``labs/checks``, a module each.
"""

from __future__ import annotations

import importlib
import inspect
import os
import pkgutil
import re
import reprlib
import textwrap
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from personalens.notebook.lab_data import Lab

STRICT_VARIABLE = "PERSONALENS_STRICT"
SOLUTION_LINE = "# One way to do it"
"""How the solutions of the labs begin."""
_WIDTH = 100
"""Characters of a line; what JupyterLab shows beside its file browser on a small screen."""


def _find_checks() -> list[str]:
    """Return the folder of the labs' checks: of the working tree, else where a wheel has put them,
    else beside the notebook."""
    below = ("labs/checks", "share/personalens/checks")
    places = [parent / name for parent in Path(__file__).resolve().parents for name in below]
    return [str(each) for each in [*places, Path.cwd() / "checks"] if _is_checks(each)][:1]


def _is_checks(folder: Path) -> bool:
    return (folder / "answers.py").is_file() and (folder / "lab_00.py").is_file()


# A module with a path is a package to Python: the files in that folder are this one's submodules.
__path__ = _find_checks()


class NotYet(Exception):
    """Raised by a check: what is missing or wrong, in the learner's terms.

    A check that knows the mistake gives a hint that answers it, instead of the next step.
    """

    def __init__(self, problem: str, *, hint: str | None = None) -> None:
        super().__init__(problem)
        self.hint = hint


class CheckFailed(AssertionError):
    """A check failed in strict mode."""


@dataclass(frozen=True)
class Check:
    """One self-check: ``test(lab, *answer)`` returns what it found, or raises :class:`NotYet`."""

    test: Callable[..., str]
    hints: tuple[str, ...]  # a step each; the first does not give the answer


CHECKS: dict[str, Check] = {}
_NO_CHECKS = (
    "the checks of the labs are not on this machine. The lab runs without them. To have them, copy "
    "the folder labs/checks of PersonaLens beside this notebook, as checks, and restart the kernel."
)


def check(
    name: str, *, hint: str | Sequence[str]
) -> Callable[[Callable[..., str]], Callable[..., str]]:
    """Register a function as the check of this name, with its hint, or with the steps of one."""
    hints = (hint,) if isinstance(hint, str) else tuple(hint)

    def register(test: Callable[..., str]) -> Callable[..., str]:
        if name in CHECKS:
            raise ValueError(f"there are two checks named {name!r}")
        CHECKS[name] = Check(test, hints)
        return test

    return register


def load_checks() -> None:
    """Import the checks of all labs, which register themselves."""
    for module in pkgutil.iter_modules(__path__):
        importlib.import_module(f"{__name__}.{module.name}")


def is_strict() -> bool:
    """Return whether a failed check raises."""
    return os.environ.get(STRICT_VARIABLE, "") not in ("", "0")


def run_check(lab: Lab, name: str, answer: tuple[Any, ...] = ()) -> None:
    """Run one check and print a line about it; raise CheckFailed in strict mode if it fails.

    ValueError names the lab's checks if there is no such check.
    """
    load_checks()
    if not CHECKS:
        _tell_problem(f"{name} cannot be checked: {_NO_CHECKS}")
        return
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
        _tell_problem(f"{name} not yet: {problem} {_next_hint(lab, name, found, problem)}")
    else:
        say(f"✓ {name} done: {text}")
        if not _is_solution():
            lab.note_done(name)


def _is_solution() -> bool:
    """Whether the cell that runs is a lab's own solution, which is nothing that the learner did."""
    from IPython import get_ipython

    shell = get_ipython()
    cells = [] if shell is None else shell.user_ns.get("In", [])
    return bool(cells) and cells[-1].startswith(SOLUTION_LINE)


def _next_hint(lab: Lab, name: str, found: Check, problem: NotYet) -> str:
    """Return the hint that answers the mistake, or the next step; the last one stays."""
    if problem.hint is not None:
        return f"Hint: {problem.hint}"
    step = min(lab.missed[name], len(found.hints) - 1)
    lab.missed[name] += 1
    more = " Another hint comes with the next try." if step + 1 < len(found.hints) else ""
    return f"Hint: {found.hints[step]}{more}"


def _tell_problem(message: str) -> None:
    if is_strict():
        raise CheckFailed(message) from None
    say(f"✗ {message}")


def _tested(found: Check, lab: Lab, answer: tuple[Any, ...]) -> str:
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

    The code may be the name of an exception class, too. An error of another code passes through;
    none at all is an AssertionError.

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


def say(text: str) -> None:
    """Print a message. JupyterLab breaks a long line wherever the page ends, even within a word, so
    it is broken here; an ARN or an address stays whole. A message of several lines, such as one
    that points at a place in the line above, stays as it is.

    >>> say("Training began. " * 7)
    Training began. Training began. Training began. Training began. Training began. Training began.
    Training began.
    """
    if "\n" not in text:
        text = textwrap.fill(text, _WIDTH, break_long_words=False, break_on_hyphens=False)
    print(text)
