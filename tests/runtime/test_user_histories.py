"""Whose events count at the moment of a request, and in which order they are read."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from personalens.home import Home
from personalens.recipes.base import Recipe
from personalens.runtime import users
from personalens.runtime.deployments import Deployment
from personalens.runtime.users import UserHistories
from personalens.storage.event_log import Event, EventLog

GROUP = "arn:aws:personalize:us-east-1:123456789012:dataset-group/films"
CLICKS = "arn:aws:personalize:us-east-1:123456789012:dataset/films/INTERACTIONS"
TRAINED = pd.DataFrame(
    {
        "USER_ID": ["u", "u", "v"],
        "ITEM_ID": ["a", "b", "c"],
        "TIMESTAMP": [100, 200, 150],
        "EVENT_TYPE": ["watch"] * 3,
        "EVENT_VALUE": [1.0, 2.0, 3.0],
        "DEVICE": ["tv", "tv", "phone"],
    }
)


class Follower(Recipe):
    """Keeps as its reading the items that it was given, and how often it was asked to read."""

    name = "follower"
    recipe_type = "USER_PERSONALIZATION"
    keeps_context = True
    reads = 0

    def _fit(self, interactions, items, users, progress, refit):
        pass

    def read(self, history, before=None):
        self.reads += 1
        return (*(before or ()), len(history))

    def _score(self, histories):
        return np.zeros((len(histories), len(self.items_)))

    def _tensors(self):
        return {}

    def _restore(self, tensors):
        pass


@pytest.fixture
def log(tmp_path) -> EventLog:
    return EventLog(Home(tmp_path / "home"))


@pytest.fixture
def deployment() -> Deployment:
    return Deployment("arn:campaign", "arn:version", GROUP, Follower().fit(TRAINED))


@pytest.fixture
def look(log, deployment):
    """Returns the items of a user's history; one object, as a server has it."""
    histories = UserHistories(log)

    def look(who: str, deployment: Deployment = deployment, **options) -> list[str]:
        state = histories.state(deployment, who, **options)
        return deployment.model.items_.decode(state.history.item_codes).tolist()

    look.state = lambda who, deployment=deployment: histories.state(deployment, who)
    return look


def watch(item: str | None, at: int, kind: str = "watch", **members) -> Event:
    return Event(item, at, kind, **members)


def test_live_events_follow_the_trained_past(log, look):
    assert look("u") == ["a", "b"]
    log.append(CLICKS, "s", "u", [watch("c", 300, event_value=4.0, properties={"DEVICE": "car"})])
    log.append(CLICKS, "t", "v", [watch("a", 300)])
    assert look("u") == ["a", "b", "c"]
    history = look.state("u").history
    assert history.event_values.tolist() == [1.0, 2.0, 4.0]
    assert history.event_types.tolist() == ["watch"] * 3
    assert history.event_context["DEVICE"].tolist() == ["tv", "tv", "car"]
    assert np.isnan(look.state("v").history.event_values[-1])


def test_events_that_were_trained_on_are_not_read_twice(log, look, deployment):
    log.append(CLICKS, "s", "u", [watch("a", 300)])
    trained = replace(deployment, trained={"_eventsUntil": log.newest()})
    log.append(CLICKS, "s", "u", [watch("c", 400)])
    assert look("u", trained) == ["a", "b", "c"]
    assert look("u") == ["a", "b", "a", "c"]


def test_a_newcomer_is_their_events(log, look):
    assert look("new") == []
    log.append(CLICKS, "s", "new", [watch("c", 300, properties={"DEVICE": "tv"})])
    assert look("new") == ["c"]
    assert look.state("new").history.event_context["DEVICE"].tolist() == ["tv"]


def test_somebody_unknown_is_asked_for_by_their_session(log, look):
    log.append(CLICKS, "session", None, [watch("c", 300)])
    assert (look("session"), look("u")) == (["c"], ["a", "b"])
    log.append(CLICKS, "session", "u", [watch("a", 400)])
    assert (look("session"), look("u")) == ([], ["a", "b", "c", "a"])


def test_what_is_about_no_known_item_is_left_out(log, look):
    log.append(CLICKS, "s", "u", [watch(None, 300, "Search"), watch("unheard of", 301)])
    assert look("u") == ["a", "b"]


def test_events_come_in_the_order_of_their_times(log, look):
    log.append(CLICKS, "s", "u", [watch("c", 500), watch("a", 400)])
    log.append(CLICKS, "s", "u", [watch("b", 400), watch("c", 50)])
    assert look("u") == ["c", "a", "b", "a", "b", "c"]


def test_one_item_in_one_second_counts_once(log, look):
    again = [watch("c", 300, event_id=name, event_value=v) for name, v in (("x", 1.0), ("y", 2.0))]
    log.append(CLICKS, "s", "u", [*again, watch("c", 300, "click"), watch("c", 301)])
    assert look("u") == ["a", "b", "c", "c", "c"]
    assert look.state("u").history.event_values[2] == 2.0


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ({}, ["c", "a", "b"]),
        ({"eventType": "watch"}, ["c", "b"]),
        ({"solutionConfig": {"eventValueThreshold": "2.0"}}, ["a", "b"]),
        (
            {
                "solutionConfig": {
                    "eventsConfig": {"eventParametersList": [{"eventType": "click", "weight": 0.5}]}
                }
            },
            ["a"],
        ),
    ],
)
def test_only_events_that_the_solution_learns_from_count(log, look, deployment, members, expected):
    events = [("c", "watch", 1.0), ("a", "click", 2.0), ("b", "watch", 3.0)]
    log.append(
        CLICKS,
        "s",
        "new",
        [watch(item, 300 + n, kind, event_value=v) for n, (item, kind, v) in enumerate(events)],
    )
    assert look("new", replace(deployment, trained=members)) == expected


def test_a_reading_goes_on_where_it_ended(log, look, deployment):
    log.append(CLICKS, "s", "u", [watch("c", 300)])
    assert look.state("u").history.reading == (2, 3)  # the trained past first, as everybody does
    log.append(CLICKS, "s", "u", [watch("a", 301), watch("b", 302)])
    assert look.state("u").history.reading == (2, 3, 5)
    reads = deployment.model.reads
    assert look.state("u").revision == look.state("u").revision
    assert deployment.model.reads == reads
    log.append(CLICKS, "s", "u", [watch("c", 1)])  # it happened before all that
    assert look.state("u").history.reading == (6,)


def test_a_process_that_comes_later_reads_from_the_same_place(log, look, deployment):
    for second in range(3):
        log.append(CLICKS, "s", "u", [watch("c", 300 + second)])
        look("u")
    fresh = UserHistories(log).state(deployment, "u").history
    assert fresh.reading == (2, 5)
    assert look.state("u").history.reading == (2, 3, 4, 5)


def test_deleted_events_are_forgotten(log, look):
    log.append(CLICKS, "s", "u", [watch("c", 300), watch("a", 301)])
    assert look("u") == ["a", "b", "c", "a"]
    log.delete_users([CLICKS], ["u"])
    assert look("u") == ["a", "b"]


def test_very_many_events_are_cut_by_blocks(log, look, monkeypatch):
    monkeypatch.setattr(users, "MOST_LIVE", 10)
    monkeypatch.setattr(users, "LIVE_LEFT_OUT", 4)
    lengths = []
    for second in range(20):
        log.append(CLICKS, "s", "new", [watch("c", 300 + second)])
        lengths.append(len(look("new")))
    assert lengths == [*range(1, 11), 7, 8, 9, 10, 7, 8, 9, 10, 7, 8]


def test_another_revision_stands_for_another_history(log, look):
    revisions = [look.state("u").revision]
    for item in "ca":
        log.append(CLICKS, "s", "u", [watch(item, 300)])
        revisions.append(look.state("u").revision)
    assert len(set(revisions)) == 3
