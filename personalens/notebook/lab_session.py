"""The learner's companion in a lab: data with titles, ARNs, self-checks, and a catch-up."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

import pandas as pd

from personalens.notebook import board, catch_up, checks
from personalens.notebook.checks import say
from personalens.notebook.html_views import ResourceCard, SourceExcerpt, TitledTable
from personalens.notebook.lab_data import ArnBook, Lab


class LabSession(Lab):
    """What a lab needs around its boto3 calls.

    Parameters
    ----------
    number
        Number of the lab. What labs before it create is made now if it is missing.
    dataset
        "sample", "ml-latest-small", "ml-100k" or another MovieLens release. Where MovieLens cannot
        be had, the embedded sample stands in, and a line says so.
    catch_up
        Whether to make what earlier labs made.
    needs
        Numbers of the labs whose results this one needs. Default: all before it.
    seed
        Chooses the viewers that :meth:`viewers` returns.

    Attributes
    ----------
    data
        The three tables: ``lab.data.interactions``, ``lab.data.items``, ``lab.data.users``.
    arns
        ARNs of what earlier labs made, by short name.

    Notes
    -----
    A session makes the same boto3 calls as the labs and nothing else, so it works with AWS too:
    leave ``personalens.activate()`` out, set ``PERSONALENS_BUCKET`` and ``PERSONALENS_ROLE_ARN``.
    """

    def __init__(
        self,
        number: int,
        *,
        dataset: str = "ml-latest-small",
        catch_up: bool = True,
        needs: Collection[int] | None = None,
        seed: int = 0,
    ):
        super().__init__(number, dataset, seed)
        self._needs = range(number) if needs is None else needs
        if catch_up:
            self.catch_up()

    def __repr__(self) -> str:
        return f"LabSession({self.number}, dataset={self.dataset!r})"

    def table(self, frame: pd.DataFrame, caption: str, *, digits: int = 3) -> TitledTable:
        """Return a table with a caption for display."""
        return TitledTable(frame, caption, digits)

    def card(self, resource: Mapping[str, Any], caption: str) -> ResourceCard:
        """Return a Describe response's inner object as a card for display."""
        return ResourceCard(resource, caption)

    def look_inside(self, target: Any, *, most: int = 30) -> None:
        """Print the engine's own lines of a function or class, with their file."""
        print(SourceExcerpt(target, most))

    def create_once(self, create: Callable[..., dict], **request: Any) -> str:
        """Call a boto3 ``create_...`` method and return the ARN, also where it exists already."""
        return catch_up.create_once(create, **request)

    def expect_error(self, code: str, *, show_message: bool = True) -> checks.ExpectedError:
        """Return a context in which an error of this code must occur; it is printed."""
        return checks.ExpectedError(code, show_message=show_message)

    def check(self, name: str, *answer: Any) -> None:
        """Say whether a step is done, or give a hint; raise in strict mode (see ``checks``)."""
        checks.run_check(self, name, answer)

    def board(self) -> None:
        """Print how many checks are done, lab by lab."""
        print(board.board())

    def close(self) -> None:
        """Say which checks of this lab are done, and offer to end the kernel."""
        board.close(self.number)

    def catch_up(self) -> ArnBook:
        """Make what the labs before this one made, where it is missing; return the ARNs."""
        needed = {number: step for number, step in catch_up.STEPS.items() if number in self._needs}
        for number, (what, make) in needed.items():
            print(f"Catching up with lab {number:02d}: {what} ...")
            make(self)
        if needed:
            _clear_output()
        if self._notice:
            say(self._notice)
        ready = "; ".join(f"{what} (lab {number:02d})" for number, (what, _) in needed.items())
        say(f"Lab {self.number:02d} on {self.dataset}: {ready or 'nothing needed before it'}.")
        return self.arns


def _clear_output() -> None:
    """Clear the cell's output so far; outside a notebook do nothing."""
    try:
        from IPython import get_ipython
        from IPython.display import clear_output
    except ImportError:
        return
    if get_ipython() is not None:
        clear_output(wait=True)
