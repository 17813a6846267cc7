"""The self-checks of lab 13."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

from personalens.notebook.checks import NotYet, check

from .answers import all_different, as_list, as_texts, described, require_active

if TYPE_CHECKING:
    from personalens.notebook.lab_session import LabSession

_COMPARED = 20
_WRONG = 2
_FESTIVAL = {"War", "Drama"}


@check("13a", hint="run the cells of section 1 again, from the top.")
def _ready(lab: LabSession, group_arn: str, *version_arns: str) -> str:
    if len(lab.client.list_datasets(datasetGroupArn=group_arn)["datasets"]) != 2:
        raise NotYet("the group has not two datasets.")
    for arn in all_different(version_arns, "solution versions", at_least=3):
        asked = {"solutionVersionArn": arn}
        found = described(lab.client.describe_solution_version, "version", **asked)
        require_active(found["solutionVersion"], f"the solution version {arn}")
    return f"two datasets, {len(version_arns)} solution versions."


@check("13b", hint="run the cells of sections 2 and 3 again, from the top.")
def _same_lists(
    lab: LabSession,
    answers: pd.DataFrame,
    viewers: Sequence[str],
    ask: Callable[..., list[str]],
    filter_arn: str,
) -> str:
    if (errors := answers["error"].notna().sum()) != _WRONG:
        raise NotYet(f"there are {errors} errors, not {_WRONG}.")
    asked = {
        line["userId"] for line in answers["input"] if isinstance(line, dict) and "userId" in line
    }
    if not set(as_texts(viewers, "the list of viewers")) <= asked or len(viewers) < _COMPARED:
        raise NotYet("these viewers are not those of the file.")
    for asked, found in zip(answers["input"][:_COMPARED], answers["output"], strict=False):
        viewer = asked["userId"]
        if ask(viewer, filterArn=filter_arn) != found["recommendedItems"]:
            raise NotYet(f"the campaign gives viewer {viewer} another list.")
    answered = len(viewers)
    return f"{answered} viewers, {errors} errors; {_COMPARED} lists equal to the campaign's."


@check("13c", hint="run the cells of section 4 again, from the top.")
def _people(lab: LabSession, people: Mapping[str, Sequence[str]], past: pd.DataFrame) -> str:
    seen = past.groupby("ITEM_ID")["USER_ID"].agg(set)
    of_seen = sum(len(seen[film].intersection(users)) for film, users in people.items())
    places = sum(map(len, people.values()))
    if not places or of_seen:
        raise NotYet(f"{of_seen} of {places} people in the segments have seen the film.")
    different = len(set().union(*people.values()))
    return f"{places} places for {different} different people, none of whom has seen the film."


@check("13d", hint="run the cells of section 4 again, from the top.")
def _judged(lab: LabSession, row: Mapping[str, float]) -> str:
    if not row["segment"] > 1.5 * row["by lot"]:
        raise NotYet("a segment should be far better than lots here.")
    return f"{row['segment'] / row['by lot']:.1f} times as many come as by lot."


@check("13e", hint="run the cells of section 4 again, from the top.")
def _genres(
    lab: LabSession, of_genre: Mapping[str, Sequence[str]], rows: Sequence[Mapping[str, Any]]
) -> str:
    if not of_genre or {row["genre"] for row in rows} != set(of_genre):
        raise NotYet("the table has other genres than the segments.")
    for row in rows:
        if not row["segment"] > row["everybody"]:
            raise NotYet(f"the segment of {row['genre']} watches no more of it than everybody.")
    return f"{len(of_genre)} genres, each segment watches more of its genre than everybody."


@check("13f", hint="run the cells of section 5 again, from the top.")
def _mailing(lab: LabSession, mailing: pd.DataFrame, past: pd.DataFrame) -> str:
    if set(mailing["USER_ID"]) != set(past["USER_ID"]):
        raise NotYet("the mailing does not go to the viewers of the data.")
    if mailing["USER_ID"].duplicated().any() or mailing["ITEM_ID"].isna().any():
        raise NotYet("somebody gets no message, or two.")
    pushed = mailing[mailing["WHY"] == "segment"]
    seen = set(zip(past["USER_ID"], past["ITEM_ID"], strict=True))
    if again := sum(
        pair in seen for pair in zip(pushed["USER_ID"], pushed["ITEM_ID"], strict=True)
    ):
        raise NotYet(f"{again} people of the segments have seen their film.")
    return f"{len(mailing)} messages, {len(pushed)} of them by a segment."


@check("13.1", hint='{"userId": who, "filterValues": {"GENRE": json.dumps(genre)}} for each.')
def _lines(lab: LabSession, lines: Sequence[Mapping[str, Any]], favourite: pd.Series) -> str:
    if not isinstance(favourite, pd.Series) or favourite.empty:
        raise NotYet("run the cell above again: it makes the column favourite.")
    asked = {}
    for line in as_list(lines, "the answer"):
        if not isinstance(line, dict) or not {"userId", "filterValues"} <= set(line):
            raise NotYet("a line is no object with userId and filterValues.")
        asked[line["userId"]] = line["filterValues"].get("GENRE")
    if missing := set(favourite.index) - set(asked):
        raise NotYet(f"{len(missing)} viewers have no line.")
    if len(lines) != len(favourite):
        raise NotYet(f"there are {len(lines)} lines for {len(favourite)} viewers.")
    for who, genre in favourite.items():
        if asked[who] != json.dumps(genre):
            raise NotYet(f"viewer {who} asks for {asked[who]}, not for {json.dumps(genre)}.")
    return f"{len(lines)} lines with {favourite.nunique()} genres."


@check("13.2", hint="""ask for 'ITEMS.GENRES = "War" AND ITEMS.GENRES = "Drama"'.""")
def _festival(lab: LabSession, users: Sequence[str], version_arn: str, audience: int) -> str:
    """Look for a job with the right question, and compare its answer."""
    users = as_texts(users, "the answer")
    pages = lab.client.get_paginator("list_batch_segment_jobs")
    found = pages.paginate(solutionVersionArn=version_arn).build_full_result()
    for job in found["batchSegmentJobs"]:
        asked = {"batchSegmentJobArn": job["batchSegmentJobArn"]}
        found = lab.client.describe_batch_segment_job(**asked)["batchSegmentJob"]
        name = found["jobInput"]["s3DataSource"]["path"].rsplit("/", 1)[1]
        folder = found["jobOutput"]["s3DataDestination"]["path"].rstrip("/").rsplit("/", 1)[1]
        answers = lab.folder / folder / f"{name}.out"
        for line in map(json.loads, answers.read_text().splitlines() if answers.exists() else ()):
            query = line["input"].get("itemAttributes", "") if line["output"] else ""
            is_asked = all(f'"{genre}"' in query for genre in _FESTIVAL)
            if is_asked and users == line["output"]["usersList"] and len(users) == audience:
                return f"{len(users)} people for {query}."
    raise NotYet("no segment job has answered this with these people.")
