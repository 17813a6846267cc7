"""The self-checks of lab 05."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd

from personalens.notebook.catch_up import RECIPES
from personalens.notebook.checks import NotYet, check

if TYPE_CHECKING:
    from personalens.notebook.lab_session import LabSession
from .answers import all_different, as_films, as_texts, described, expect_near, require_active

_METRIC_KEYS = 8
_BY_HAND = 4
_LISTED = 25


@check("5a", hint="run the cells of section 1 again, from the top.")
def _by_hand(lab: LabSession, table: pd.DataFrame) -> str:
    difference = (table["by hand"] - table["engine"]).abs()
    if len(table) != _BY_HAND:
        raise NotYet(f"the table has {len(table)} figures, not {_BY_HAND}.")
    if not (difference <= 1e-9).all():
        wrong = table.loc[difference.idxmax()].iloc[0]
        raise NotYet(f"{wrong} differs by {difference.max():.4f}.")
    return "your numbers and the engine's are the same."


@check("5b", hint="run the cells of section 2 again, from the top.")
def _comparison(lab: LabSession, comparison: pd.DataFrame, precision: float) -> str:
    expect_near(precision, comparison.loc["precision_at_25", "popularity"], what="precision at 25")
    if len(comparison) != _METRIC_KEYS or comparison.isna().any(axis=None):
        raise NotYet(f"{_METRIC_KEYS} metrics are expected for each recipe.")
    best = comparison.loc["normalized_discounted_cumulative_gain_at_25"].idxmax()
    return f"{_METRIC_KEYS} metrics for {comparison.shape[1]} recipes; best NDCG at 25: {best}."


@check("5c", hint="run the cell with create_campaign again.")
def _campaigns(lab: LabSession, *arns: str) -> str:
    for arn in all_different(arns, "campaigns", at_least=len(RECIPES)):
        found = described(lab.client.describe_campaign, "campaign", campaignArn=arn)["campaign"]
        require_active(found, f"the campaign {found['name']}")
    return f"{len(arns)} campaigns answer."


@check("5d", hint="run the cells of section 4 again, from the top.")
def _three_lists(lab: LabSession, titles: dict[str, list[str]]) -> str:
    if missing := set(RECIPES) - set(titles):
        raise NotYet(f"there is no list of {', '.join(sorted(missing))}.")
    lists = {name: tuple(as_texts(films, f"the list of {name}")) for name, films in titles.items()}
    if not all(lists.values()):
        raise NotYet("a list is empty.")
    if lists["popularity"] == lists["hrnn"]:
        raise NotYet("HRNN's list is the popular one.")
    if len(set(lists.values())) < len(lists):
        raise NotYet("two of the lists are the same.")
    return "three recipes, three different lists."


@check("5.1", hint="(1/2 + 2/5) / 2")
def _average_precision(lab: LabSession, value: Any) -> str:
    expect_near(value, 0.45, what="the average precision")
    return "the mean of 1/2 and 2/5."


@check("5.2", hint="intersect two sets of ITEM_IDs and take the length.")
def _already_seen(lab: LabSession, count: Any, viewer: str, recommended: list[str]) -> str:
    films, watched = as_films(lab, recommended, "the list"), lab.history(viewer)["ITEM_ID"]
    if watched.empty or len(films) != _LISTED:
        raise NotYet(f"ask for {_LISTED} films, for a viewer who has a history.")
    truth = len(set(films) & set(watched))
    expect_near(count, truth, what="the number", tolerance=1e-9)
    return f"{truth} of {len(films)} recommended films are known to this viewer."
