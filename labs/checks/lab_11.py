"""The self-checks of lab 11."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

import boto3
import pandas as pd

from personalens.ingest import kinesis_handler
from personalens.notebook.checks import NotYet, check

from .answers import as_films, as_list, as_texts, described, expect_near, require_active

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
    first, second = _lists(lab, before, after)
    if first == second:
        raise NotYet("the list is the same as before the click.")
    if chosen not in first:
        raise NotYet("the film that was watched is not one of the list before the click.")
    moved = sum(old != new for old, new in zip(first, second, strict=True))
    return f"one click on {lab.title(chosen)}, and {moved} of {len(second)} places have changed."


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
    unknown, visitor, nobody, known = _lists(lab, unknown, visitor, nobody, known)
    if unknown != nobody:
        raise NotYet("an unknown session and an unknown user should get the newcomers' list.")
    if visitor == unknown or known == nobody:
        raise NotYet("the events have not changed the list.")
    kept = len(set(visitor) & set(known))
    return f"{kept} films of the visitor's list are in the one after the login."


@check("11e", hint="run the cells of section 5 again, from the top.")
def _counted_once(lab: LabSession, lists: list[list[str]], now: list[str]) -> str:
    first, second, last = _lists(lab, *as_list(lists, "the lists"), now)
    if first != second:
        raise NotYet("the second delivery has changed the list.")
    if last != second:
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
    watched = as_films(lab, films, "the list of films")[:5]
    missing = set(watched) - set(mine["ITEM_ID"])
    if missing:
        raise NotYet(f"{lab.title(missing.pop())} is missing.")
    if len(watched) < 5:
        raise NotYet(f"the visitor watches five films; these are {len(watched)}.")
    if len(mine) != 6:
        raise NotYet(f"there are {len(mine)} events; the visitor has six.")
    return f"{len(mine)} events wait for the next training."


@check("11.1", hint="ask for 25 films for both and count those that are in both lists.")
def _order(lab: LabSession, users: Any, shared: Any, campaign_arn: str) -> str:
    users = as_texts(users, "users")
    if len(users) != 2 or len(set(users)) != 2:
        raise NotYet("users should be two userIds.")
    if old := set(users) & set(lab.data.interactions["USER_ID"]):
        raise NotYet(f"{sorted(old)[0]} is not a new user.")
    runtime = boto3.client("personalize-runtime")

    def ask(user: str) -> list[str]:
        answer = runtime.get_recommendations(campaignArn=campaign_arn, userId=user, numResults=25)
        return [item["itemId"] for item in answer["itemList"]]

    newcomer, *lists = [ask(user) for user in ("nobody-yet", *users)]
    if newcomer in lists:
        raise NotYet("one of the two has watched nothing yet.")
    expect_near(shared, len(set(lists[0]) & set(lists[1])), what="shared")
    if lists[0] == lists[1]:
        raise NotYet("the two lists are the same; has one of the two watched the films backwards?")
    return f"{shared} of 25 are in both: the order counts."


def _lists(lab: LabSession, *answers: Any) -> list[list[str]]:
    """Return lists of films; NotYet unless they are equally long."""
    lists = [as_films(lab, answer, "a list") for answer in answers]
    if len({len(films) for films in lists}) > 1:
        raise NotYet("the lists differ in length.")
    return lists


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
