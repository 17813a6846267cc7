"""The self-checks of lab 06."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import boto3
import pandas as pd

from personalens.notebook.checks import NotYet, check

from .answers import all_different, as_texts, described, expect_near, require_active

if TYPE_CHECKING:
    from personalens.notebook.lab_session import LabSession


@check("6a", hint="run the cells of section 1 again, from the top.")
def _parts(lab: LabSession, parts: pd.DataFrame) -> str:
    expect_near(parts.loc["Space Duel", "score"], 1.74, what="the score of Space Duel")
    if parts.loc["Moon Duel", "itself"] != 0:
        raise NotYet("Moon Duel itself should bring nothing.")
    if not parts.loc["Moon Duel", "score"] > parts.loc["Quiet Letters", "score"]:
        raise NotYet("Moon Duel should be above Quiet Letters.")
    return "a film that nobody has watched has a score, from its genre and its years."


@check("6b", hint="run the cell with personalens.wait again; training goes on meanwhile.")
def _versions(lab: LabSession, *arns: str) -> str:
    describe = lab.client.describe_solution_version
    for arn in all_different(arns, "solution versions", at_least=2):
        found = described(describe, "solution version", solutionVersionArn=arn)
        require_active(found["solutionVersion"], "a solution version")
    return f"{len(arns)} models are trained."


@check("6c", hint="run the cells of section 3 again, from the top.")
def _two_orders(lab: LabSession, *pages: list[dict[str, Any]]) -> str:
    if len(pages) != 2:
        raise NotYet(f"there should be two pages; these are {len(pages)}.")
    for page in pages:
        last = page[-1]["itemId"]
        if "brand-new" not in [item["itemId"] for item in page if "score" not in item]:
            raise NotYet(f"the film that nobody knows should be at the end, not {last}.")
    first, second = ([item["itemId"] for item in page] for page in pages)
    if sorted(first) != sorted(second):
        raise NotYet("the two pages should hold the same films.")
    if first == second:
        raise NotYet("the two viewers have the same order.")
    return f"{len(first)} results, two orders."


@check("6d", hint="run section 4 again, from the top.")
def _places(lab: LabSession, places: pd.DataFrame) -> str:
    means = places[["catalogue", "popular", "personal"]].mean()
    if not means["personal"] < means["catalogue"]:
        raise NotYet("the personal order should bring the wanted films up.")
    return f"from place {means['catalogue']:.1f} to place {means['personal']:.1f} in the mean."


@check("6.1", hint='the mean of 1 / places["personal"]')
def _reciprocal_rank(lab: LabSession, value: Any, places: pd.DataFrame) -> str:
    truth = float((1 / places["personal"]).mean())
    expect_near(value, truth, what="the mean reciprocal rank")
    return f"the mean of 1 / place over {len(places)} films is {truth:.3f}."


@check("6.2", hint="pass the itemIds of the answer on, in its order.")
def _newcomer(lab: LabSession, page: list[str], campaign_arn: str, found: pd.DataFrame) -> str:
    answer = boto3.client("personalize-runtime").get_personalized_ranking(
        campaignArn=campaign_arn, userId="never-seen-before", inputList=found["ITEM_ID"].tolist()
    )
    truth = [item["itemId"] for item in answer["personalizedRanking"]]
    if as_texts(page, "the page") != truth:
        raise NotYet("this is not the order that the campaign gives to a newcomer.")
    return f"a newcomer sees {lab.title(truth[0])} first."
