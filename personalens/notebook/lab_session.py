"""The learner's companion in a lab: data with titles, ARNs, self-checks, and a catch-up."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import boto3
import pandas as pd

from personalens import datasets
from personalens.home import default_home
from personalens.notebook import catch_up, checks
from personalens.notebook.html_views import ResourceCard, SourceExcerpt, TitledTable
from personalens.notebook.messages import say
from personalens.notebook.staging import is_local

ROLE_VARIABLE = "PERSONALENS_ROLE_ARN"
_LOCAL_ROLE = "arn:aws:iam::123456789012:role/PersonaLensLabs"
_PREFIX = "lab"


class ArnBook(dict[str, str]):
    """ARNs by short name; ``lab.arns["hr`` and ``lab.arns.hr`` both complete with Tab.

    Examples
    --------
    >>> book = ArnBook(items="arn:aws:personalize:us-east-1:123456789012:dataset/films/ITEMS")
    >>> book.items_schema
    Traceback (most recent call last):
    ...
    AttributeError: there is no ARN named 'items_schema' here; there are: items
    """

    def __missing__(self, name: str) -> str:
        known = ", ".join(sorted(self)) or "none yet (call lab.catch_up())"
        raise KeyError(f"there is no ARN named {name!r} here; there are: {known}")

    def __getattr__(self, name: str) -> str:
        if name.startswith("_"):
            raise AttributeError(name)
        try:
            return self[name]
        except KeyError as error:
            raise AttributeError(error.args[0]) from None

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self]


class LabSession:
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
        self.number = number
        self._needs = range(number) if needs is None else needs
        self.seed = seed
        self.data, self._notice = _load(dataset)
        self.dataset: str = self.data.name
        self.arns = ArnBook()
        if catch_up:
            self.catch_up()

    def __repr__(self) -> str:
        return f"LabSession({self.number}, dataset={self.dataset!r})"

    @cached_property
    def client(self) -> Any:
        """A ``personalize`` client, made when it is first needed."""
        return boto3.client("personalize")

    # -- names, files, roles -----------------------------------------------------------------

    def name(self, suffix: str) -> str:
        """Return a resource name of this session: ``lab-ml-100k-hrnn`` for ``hrnn``."""
        return f"{_PREFIX}-{self.dataset}-{suffix}"

    @property
    def folder(self) -> Path:
        """Where the lab writes its CSV files, below the home directory."""
        folder = default_home().labs / self.dataset
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    @property
    def role_arn(self) -> str:
        """The IAM role that lets the service read your bucket.

        Here any well-formed ARN will do. On AWS it is yours: set ``PERSONALENS_ROLE_ARN``.
        """
        if configured := os.environ.get(ROLE_VARIABLE):
            return configured
        if not is_local():
            raise RuntimeError(
                f"on AWS the service needs a role that may read your bucket: set {ROLE_VARIABLE}"
            )
        return _LOCAL_ROLE

    # -- films and viewers -------------------------------------------------------------------

    @cached_property
    def _titles(self) -> pd.Series:
        return self.data.items.set_index("ITEM_ID")["TITLE"]

    def title(self, item_id: str) -> str:
        """Return a film's title, or its identifier in brackets where there is none."""
        return str(self._titles.get(str(item_id), f"[{item_id}]"))

    def find(self, text: str) -> pd.DataFrame:
        """Return the films whose title contains ``text``: ITEM_ID and TITLE."""
        items = self.data.items
        hits = items["TITLE"].str.contains(text, case=False, regex=False)
        return items.loc[hits, ["ITEM_ID", "TITLE"]].reset_index(drop=True)

    def with_titles(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Return ``frame`` with a TITLE column in place of (right after) ITEM_ID.

        Service responses work too: an ``itemId`` column is taken as ITEM_ID.
        """
        key = next((name for name in ("ITEM_ID", "itemId") if name in frame.columns), None)
        if key is None:
            raise ValueError(
                f"the table has no ITEM_ID or itemId column: {', '.join(map(str, frame.columns))}"
            )
        titles = frame[key].astype(str).map(self.title)
        position = frame.columns.get_loc(key) + 1
        result = frame.copy()
        result.insert(position, "TITLE" if key == "ITEM_ID" else "title", titles)
        return result

    def history(self, user_id: str, *, newest: int | None = None) -> pd.DataFrame:
        """Return a viewer's interactions with titles, oldest first, or the ``newest`` of them."""
        events = self.data.interactions
        mine = events[events["USER_ID"].astype(str) == str(user_id)]
        mine = mine.sort_values("TIMESTAMP", kind="stable")
        return self.with_titles(mine if newest is None else mine.tail(newest)).reset_index(
            drop=True
        )

    def viewers(self, count: int = 3, *, at_least: int = 20, at_most: int = 200) -> list[str]:
        """Return viewers with neither a thin nor an endless history, chosen by the seed."""
        sizes = self.data.interactions["USER_ID"].astype(str).value_counts()
        usual = sorted(sizes[(sizes >= at_least) & (sizes <= at_most)].index)
        return pd.Series(usual).sample(count, random_state=self.seed).tolist()

    # -- views -------------------------------------------------------------------------------

    def table(self, frame: pd.DataFrame, caption: str, *, digits: int = 3) -> TitledTable:
        """Return a table with a caption for display."""
        return TitledTable(frame, caption, digits)

    def card(self, resource: Mapping[str, Any], caption: str) -> ResourceCard:
        """Return a Describe response's inner object as a card for display."""
        return ResourceCard(resource, caption)

    def look_inside(self, target: Any, *, most: int = 30) -> None:
        """Print the engine's own lines of a function or class, with their file."""
        print(SourceExcerpt(target, most))

    # -- calls -------------------------------------------------------------------------------

    def create_once(self, create: Callable[..., dict], **request: Any) -> str:
        """Call a boto3 ``create_...`` method and return the ARN, also where it exists already."""
        return catch_up.create_once(create, **request)

    def expect_error(self, code: str, *, show_message: bool = True) -> checks.ExpectedError:
        """Return a context in which an error of this code must occur; it is printed."""
        return checks.ExpectedError(code, show_message=show_message)

    def check(self, name: str, *answer: Any) -> None:
        """Say whether a step is done, or give a hint; raise in strict mode (see ``checks``)."""
        checks.run_check(self, name, answer)

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


def _load(dataset: str) -> tuple[Any, str | None]:
    """Return a data set; where MovieLens cannot be had, the sample and a line that says so."""
    try:
        return datasets.load(dataset), None
    except datasets.DataUnavailable:
        return datasets.load("sample"), (
            f"{dataset} is not on this machine and cannot be downloaded now: this lab uses the "
            "embedded sample, real films with simulated viewers."
        )


def _clear_output() -> None:
    """Clear the cell's output so far; outside a notebook do nothing."""
    try:
        from IPython import get_ipython
        from IPython.display import clear_output
    except ImportError:
        return
    if get_ipython() is not None:
        clear_output(wait=True)
