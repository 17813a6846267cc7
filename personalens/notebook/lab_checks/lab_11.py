"""The self-checks of lab 11."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

import boto3
import pandas as pd

from personalens.ingest import kinesis_handler
from personalens.notebook.checks import NotYet, check
from personalens.notebook.lab_checks.answers import (
    described,
    expect_near,
    require_active,
)

if TYPE_CHECKING:
    from personalens.notebook.lab_session import LabSession


@check("11a", hint="run the cells of section 1 again, from the top.")
def _tracker(lab: LabSession, tracker_arn: str) -> str:
    describe = lab.client.describe_event_tracker
    found = described(describe, "event tracker", eventTrackerArn=tracker_arn)["eventTracker"]
    require_active(found, f"the event tracker {found['name']}")
    return "the tracker takes events."


@check("11b", hint="run the cells of section 2 again, from the top.")
def _one_click(lab: LabSession, before: list[str], after: list[str], chosen: str) -> str:
    if before == after:
        raise NotYet("the list is the same as before the click.")
    moved = sum(old != new for old, new in zip(before, after, strict=True))
    return f"one click on {lab.title(chosen)}, and {moved} of {len(after)} places have changed."


@check("11c", hint="run the cells of section 3 again, from the top.")
def _drift(lab: LabSession, shares: pd.DataFrame) -> str:
    first, last = shares.iloc[0], shares.iloc[-1]
    if not last.iloc[0] > first.iloc[0]:
        raise NotYet("the newcomer's list has no more of the genre than at first.")
    if shares.iloc[:, -1].nunique() > 1:
        raise NotYet("popularity is another list for another person.")
    return f"{first.iloc[0]:.0%} of the newcomer's list at first, {last.iloc[0]:.0%} at last."


@check("11d", hint="run the cells of section 4 again, from the top.")
def _login(
    lab: LabSession, unknown: list[str], visitor: list[str], nobody: list[str], known: list[str]
) -> str:
    if unknown != nobody:
        raise NotYet("an unknown session and an unknown user should get the newcomers' list.")
    if visitor == unknown or known == nobody:
        raise NotYet("the events have not changed the list.")
    kept = len(set(visitor) & set(known))
    return f"{kept} films of the visitor's list are in the one after the login."


@check("11e", hint="run the cells of section 5 again, from the top.")
def _counted_once(lab: LabSession, lists: list[list[str]], now: list[str]) -> str:
    if lists[0] != lists[1]:
        raise NotYet("the second delivery has changed the list.")
    if now != lists[1]:
        raise NotYet("a refused event has changed the list.")
    return "once, and refused events never."


@check("11f", hint="is the second record the damaged one?")
def _failures(lab: LabSession, response: dict[str, Any]) -> str:
    failures = [each["itemIdentifier"] for each in response["batchItemFailures"]]
    if failures != ["2"]:
        raise NotYet(f"the handler names {failures or 'no record'}, not record 2.")
    return "Lambda would deliver records 2 and 3 again."


@check("11g", hint="run the notebook again, from the top: a name is new in each run.")
def _kept(lab: LabSession, mine: pd.DataFrame, films: list[str]) -> str:
    missing = set(films[:5]) - set(mine["ITEM_ID"])
    if missing:
        raise NotYet(f"{lab.title(missing.pop())} is missing.")
    if len(mine) != 6:
        raise NotYet(f"there are {len(mine)} events; the visitor has six.")
    return f"{len(mine)} events wait for the next training."


@check("11.1", hint="ask for 25 films for both and count those that are in both lists.")
def _order(lab: LabSession, users: Any, shared: Any, campaign_arn: str) -> str:
    if not isinstance(users, (list, tuple)) or len(set(users)) != 2:
        raise NotYet("users should be two userIds.")
    runtime = boto3.client("personalize-runtime")

    def ask(user: str) -> list[str]:
        answer = runtime.get_recommendations(campaignArn=campaign_arn, userId=user, numResults=25)
        return [item["itemId"] for item in answer["itemList"]]

    newcomer, *lists = [ask(user) for user in ("nobody-yet", *users)]
    if newcomer in lists:
        raise NotYet("one of the two has watched nothing yet.")
    expect_near(shared, len(set(lists[0]) & set(lists[1])), what="shared")
    return f"{shared} of 25 are in both: the order counts."


@check("11.2", hint="every record needs a userId, a sessionId, an eventType and an itemId.")
def _repaired(lab: LabSession, repaired: Any, film: str) -> str:
    records = repaired.get("Records", []) if isinstance(repaired, dict) else []
    if len(records) != 3:
        raise NotYet("repaired should be a batch of three records.")
    told = json.loads(base64.b64decode(records[1]["kinesis"]["data"]))
    if told.get("itemId") != film:
        raise NotYet(f"the second event should be about {lab.title(film)}.")
    failures = kinesis_handler(repaired)["batchItemFailures"]
    if failures:
        raise NotYet(f"the handler still names record {failures[0]['itemIdentifier']}.")
    return "all three records are put; the first, which came twice, counts once."
