"""Homes that earlier versions wrote: this one opens each, finds all that it held, and goes on."""

from __future__ import annotations

import json
import sqlite3
import sys
import tarfile
from pathlib import Path

import pytest

from personalens.control import custom_recipes
from personalens.deep_examination import examine_home
from personalens.home import Home
from tests.conftest import Service
from tests.homes.description import describe
from tests.homes.make_home import PLACE, RECIPE_MODULE

HERE = Path(__file__).parent
NUMBERS = sorted(path.name.split(".")[0] for path in HERE.glob("home-*.tar.xz"))
GROUP = "arn:aws:personalize:us-east-1:123456789012:dataset-group/films"


@pytest.fixture(params=NUMBERS)
def old(request, tmp_path, monkeypatch):
    """A home of an earlier version, moved to this test's folder: the name of its archive, and the
    service on it."""
    with tarfile.open(HERE / f"{request.param}.tar.xz") as tar:
        tar.extractall(tmp_path, filter="data")
    home = Home(tmp_path / "home")
    connection = sqlite3.connect(home.catalogue)
    with connection:
        for column, table in (("body", "resources"), ("payload", "jobs")):
            statement = f"UPDATE {table} SET {column} = replace({column}, ?, ?)"
            connection.execute(statement, (PLACE, str(tmp_path)))
    connection.close()
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setenv("PERSONALENS_TRAINING_MAX_EPOCHS", "1")
    yield request.param, Service(home)
    sys.modules.pop(RECIPE_MODULE, None)
    custom_recipes._imported.pop(RECIPE_MODULE, None)


def test_there_is_a_home_of_an_earlier_version():
    assert "home-1" in NUMBERS


def test_nothing_is_lost(old, tmp_path):
    name, service = old
    recorded = (HERE / f"{name}.json").read_text(encoding="utf-8").replace(PLACE, str(tmp_path))
    found = json.loads(json.dumps(describe(service, tmp_path)))
    assert found == json.loads(recorded)


def test_nothing_is_wrong_with_it(old):
    _, service = old
    assert [str(finding) for finding in examine_home(service.home) if not finding.is_ok] == []


def test_it_is_written_to_and_trained_from(old, tmp_path):
    _, service = old
    [tracker] = service.list_event_trackers(datasetGroupArn=GROUP)["eventTrackers"]
    tracking = service.describe_event_tracker(eventTrackerArn=tracker["eventTrackerArn"])
    event = {"eventType": "watch", "itemId": "film-9", "sentAt": 1_700_001_000}
    service.put_events(
        trackingId=tracking["eventTracker"]["trackingId"],
        sessionId="nobody-yet",
        userId="somebody-now",
        eventList=[event],
    )
    dataset = f"{GROUP.replace('dataset-group', 'dataset')}/INTERACTIONS"
    [batch] = service.context.events.batches(dataset)
    whose = [row["ITEM_ID"] for row in batch.to_pylist() if row["USER_ID"] == "somebody-now"]
    assert whose == ["film-7", "film-9"]  # the first was put, in that session, into the old home
    [own] = [each for each in service.list_solutions()["solutions"] if each["name"] == "own"]
    version = service.create_solution_version(solutionArn=own["solutionArn"])["solutionVersionArn"]
    described = service.describe_solution_version(solutionVersionArn=version)["solutionVersion"]
    assert described["status"] == "ACTIVE", described
    campaign = service.create_campaign(name="newest", solutionVersionArn=version)["campaignArn"]
    answer = service.get_recommendations(campaignArn=campaign, userId="somebody-now")
    model = service.context.recipes()["my-markov-chain"].recipe
    assert len(answer["itemList"]) == 25
    assert model.__module__ == RECIPE_MODULE
    assert [str(finding) for finding in examine_home(service.home) if not finding.is_ok] == []
