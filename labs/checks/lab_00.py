"""The self-checks of lab 00."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd

from personalens.home import default_home
from personalens.notebook.catch_up import RECIPES
from personalens.notebook.checks import NotYet, check

from .answers import as_films, expect_near

if TYPE_CHECKING:
    from personalens.notebook.lab_session import LabSession

_ASKED_FOR = 10


@check("0a", hint="run the cells of section 1 from the top, in order.")
def _viewers_counted(lab: LabSession, viewers_per_film: pd.Series) -> str:
    truth = lab.data.interactions.groupby("ITEM_ID")["USER_ID"].nunique()
    if viewers_per_film.to_dict() != truth.to_dict():
        raise NotYet("these are not the numbers of different viewers.")
    return f"{len(truth):,} films counted, the most popular one by {truth.max()} viewers."


@check("0b", hint='model.similar(["a film\'s ITEM_ID"], k=10) returns such a table.')
def _similar_films(lab: LabSession, similar: pd.DataFrame) -> str:
    return _check_similar(lab, similar)


@check("0.1", hint="quote one ITEM_ID from lab.find(...) and put it in a list.")
def _own_film(lab: LabSession, similar: pd.DataFrame) -> str:
    found = _check_similar(lab, similar)
    if len(similar) != _ASKED_FOR:
        raise NotYet(f"the table has {len(similar)} films; ask for {_ASKED_FOR}: k={_ASKED_FOR}.")
    return found


def _check_similar(lab: LabSession, similar: Any) -> str:
    columns = {"QUERY_ITEM_ID", "ITEM_ID", "RANK"}
    if not isinstance(similar, pd.DataFrame) or not columns <= set(similar.columns):
        raise NotYet("this is not a table that model.similar returns.")
    if similar.empty:
        raise NotYet("the table is empty.")
    queries, known = set(similar["QUERY_ITEM_ID"]), set(lab.data.interactions["ITEM_ID"])
    if len(queries) > 1:
        raise NotYet(f"the table is about {len(queries)} films; ask about one.")
    [film] = queries
    if film not in known:
        raise NotYet(f"nobody has watched a film {film!r}, so that nothing can be related to it.")
    if film in set(as_films(lab, similar["ITEM_ID"], "the column ITEM_ID")):
        raise NotYet(f"{lab.title(film)} stands among the films related to it.")
    return f"{len(similar)} films related to {lab.title(film)}."


@check("0c", hint="run the Setup cell: it calls personalens.activate().")
def _service_answers(lab: LabSession) -> str:
    pages = lab.client.get_paginator("list_recipes").paginate()
    names = {recipe["name"] for page in pages for recipe in page["recipes"]}
    if missing := set(RECIPES.values()) - names:
        raise NotYet(f"the service does not list {', '.join(sorted(missing))}.")
    return "the service answers, and it knows HRNN, SIMS and popularity."


@check("0d", hint="`personalens doctor` in a terminal says more.")
def _set_up(lab: LabSession) -> str:
    try:
        default_home().create()
        lab.folder.joinpath(".writable").touch()
    except OSError as error:
        raise NotYet(f"{error}.") from None
    lab.folder.joinpath(".writable").unlink(missing_ok=True)
    return f"Python, packages, home folder and data ({lab.dataset}) are in place."


@check("0.2", hint="a viewer who has seen none of the films counts too, with 0.")
def _average_seen(lab: LabSession, average: Any, top: pd.Series) -> str:
    events = lab.data.interactions
    pairs = events[events["ITEM_ID"].isin(top.index)][["USER_ID", "ITEM_ID"]].drop_duplicates()
    truth = len(pairs) / events["USER_ID"].nunique()
    expect_near(average, truth, what="the average", tolerance=5e-3)
    return f"on average a viewer has seen {truth:.1f} of the {len(top)} films already."
