"""The self-checks of lab 12."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import boto3
import pandas as pd
from botocore.exceptions import ClientError

from personalens.notebook.checks import NotYet, check

from .answers import as_number, described, require_active

if TYPE_CHECKING:
    from personalens.notebook.lab_session import LabSession

_NEWEST_EVENTS = 100
_PROMOTED = 20
_DECADE = (1970, 1979)


@check("12a", hint="run the cells of section 1 again, from the top.")
def _ready(lab: LabSession, group_arn: str, *campaign_arns: str) -> str:
    datasets = lab.client.list_datasets(datasetGroupArn=group_arn)["datasets"]
    if len(datasets) != 3:
        raise NotYet(f"the group has {len(datasets)} datasets, not three.")
    for arn in campaign_arns:
        found = described(lab.client.describe_campaign, "campaign", campaignArn=arn)["campaign"]
        require_active(found, f"the campaign {found['name']}")
    return f"{len(datasets)} datasets, {len(campaign_arns)} campaigns."


@check("12b", hint="run the cells of section 2 again, from the top.")
def _unseen(lab: LabSession, seen: pd.DataFrame, events: pd.Series) -> str:
    light = seen[events.loc[seen.index] <= _NEWEST_EVENTS]
    if not light["no filter"].sum():
        raise NotYet("without a filter nobody is shown a seen film.")
    if left := light["unseen only"].sum():
        raise NotYet(f"the filter leaves {left} seen films to viewers with few events.")
    return (
        f"of {light['no filter'].sum()} seen films in the lists of {len(light)} viewers with up to "
        f"{_NEWEST_EVENTS} events, none is left."
    )


@check("12c", hint="delete the filters whose names hold 'mistake'.")
def _nothing_made(lab: LabSession, group_arn: str) -> str:
    described(lab.client.describe_dataset_group, "dataset group", datasetGroupArn=group_arn)
    pages = lab.client.get_paginator("list_filters").paginate(datasetGroupArn=group_arn)
    names = [each["name"] for page in pages for each in page["Filters"]]
    if wrong := [name for name in names if "mistake" in name]:
        raise NotYet(f"there is a filter {wrong[0]}.")
    return "the mistakes have made nothing."


@check("12d", hint="run the cells of section 4 again, from the top.")
def _shelves(lab: LabSession, page: dict[str, list[dict[str, Any]]], since: int) -> str:
    items = lab.data.items.set_index("ITEM_ID")
    year = as_number(since, "the year")
    if not items["YEAR"].min() <= year <= items["YEAR"].max():
        raise NotYet(f"{since} is not the year of a film.")
    if not page or not all(page.values()):
        raise NotYet("a shelf is empty.")
    for genre, shelf in page.items():
        for film in (items.loc[entry["itemId"]] for entry in shelf):
            if genre not in film["GENRES"].split("|") or film["YEAR"] < year:
                raise NotYet(f"{film['TITLE']} does not belong on the shelf {genre}.")
    return f"{sum(map(len, page.values()))} films, each on its shelf."


@check("12e", hint="run the cells of section 5 again, from the top.")
def _whom_and_what(
    lab: LabSession, horror: pd.DataFrame, beside: list[dict[str, Any]], this: str
) -> str:
    left = horror["with the filter"]
    if left["family"] or left["single"] != horror.loc["single", "no filter"]:
        raise NotYet(f"horror films with the filter: {left.to_dict()}.")
    items = lab.data.items.set_index("ITEM_ID")
    if not len(beside):
        raise NotYet("there is no film beside the old one.")
    if not all(items.loc[entry["itemId"], "YEAR"] > items.loc[this, "YEAR"] for entry in beside):
        raise NotYet("a film is not newer than the one that it stands beside.")
    return f"no horror for the family, {len(beside)} newer films beside the old one."


@check("12f", hint="run the cells of section 6 again, from the top.")
def _cost(lab: LabSession, cost: pd.DataFrame) -> str:
    hits = cost["hits"]
    if not hits["no filter"] < hits["unseen only"]:
        raise NotYet("leaving out what was seen should lift the hits here.")
    return f"leaving out what was seen lifts them from {hits.iloc[0]:.3f} to {hits.iloc[1]:.3f}."


@check("12.1", hint="INCLUDE ItemID WHERE Items.YEAR >= $FROM AND Items.YEAR <= $TO")
def _decade(lab: LabSession, arn: str, campaign_arn: str) -> str:
    described(lab.client.describe_filter, "filter", filterArn=arn)
    years = lab.data.items.set_index("ITEM_ID")["YEAR"]
    for first, last in (_DECADE, (_DECADE[1], _DECADE[1])):
        values = {"FROM": str(first), "TO": str(last)}
        items = _ask(campaign_arn, filterArn=arn, filterValues=values, numResults=500)
        if not items:
            raise NotYet(f"it lets in nothing from {first} to {last}.")
        if wrong := [lab.title(item) for item in items if not first <= years[item] <= last]:
            raise NotYet(f"it lets in {wrong[0]} from {first} to {last}.")
    return f"films of {_DECADE[0]} to {_DECADE[1]}, or of one year."


@check("12.2", hint='"INCLUDE ItemID WHERE Items.YEAR >= $SINCE | " + unseen')
def _promoted(lab: LabSession, arn: str, campaign_arn: str, past: pd.DataFrame) -> str:
    """Promote the films since a year that somebody has seen films of, for that viewer."""
    described(lab.client.describe_filter, "filter", filterArn=arn)
    years = past["ITEM_ID"].map(lab.data.items.set_index("ITEM_ID")["YEAR"])
    since = int(years.quantile(0.9))
    events = past.groupby("USER_ID").size()
    recent = past[(years >= since) & past["USER_ID"].map(events).le(_NEWEST_EVENTS)]
    viewer = recent["USER_ID"].value_counts().index[0]
    asked = {"filterArn": arn, "filterValues": {"SINCE": str(since)}, "percentPromotedItems": 100}
    items = _ask(campaign_arn, userId=viewer, promotions=[asked], numResults=_PROMOTED)
    seen = set(past.loc[past["USER_ID"] == viewer, "ITEM_ID"])
    if both := len(seen & set(items)):
        raise NotYet(f"viewer {viewer} has seen {both} of {len(items)} promoted films.")
    if not (lab.data.items.set_index("ITEM_ID").loc[items, "YEAR"] >= since).all():
        raise NotYet("a promoted film is older than $SINCE.")
    return f"viewer {viewer} gets {len(items)} films since {since}, all unseen."


def _ask(campaign_arn: str, **request: Any) -> list[str]:
    """Return the ITEM_IDs of one request; NotYet if it is refused."""
    client = boto3.client("personalize-runtime")
    try:
        answer = client.get_recommendations(campaignArn=campaign_arn, **request)
    except ClientError as error:
        raise NotYet(error.response["Error"]["Message"]) from None
    return [item["itemId"] for item in answer["itemList"]]
