"""Homes that earlier versions wrote: this one opens each, finds all that it held, and goes on."""

from __future__ import annotations

import json
import sqlite3
import sys
import tarfile
from pathlib import Path

import pytest
from typer.testing import CliRunner

from personalens.cli.commands import app
from personalens.cli.home_examination import examine_home
from personalens.home import Home
from personalens.storage import custom_recipes, job_queue
from personalens.storage.catalogue import MIGRATIONS, NewerFile
from personalens.storage.event_log import Event
from tests.conftest import INTERACTIONS_SCHEMA, Service
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
        (made,) = connection.execute("SELECT max(updated_at) FROM resources").fetchone()
    connection.close()
    # The home is as old as it was then: hours later, updates would be due and change its answers.
    monkeypatch.setattr(job_queue, "clock", lambda: made)
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


@pytest.fixture
def newer(service, films):
    """Return a function that marks a database of a home as written by a later version."""
    service.context.events.append(films.dataset, "s", "u", [Event("film-1", 1, "click")])

    def mark(name: str) -> Home:
        connection = sqlite3.connect(service.home.path / name)
        connection.execute("PRAGMA user_version = 99")
        connection.close()
        return service.home

    return mark


def test_a_newer_home_is_refused_in_every_door(newer, tmp_path):
    home = newer("catalogue.sqlite")
    said = r"A newer PersonaLens wrote .*catalogue\.sqlite.*schema version 99.*Update PersonaLens"
    service = Service(home)
    with pytest.raises(NewerFile, match=said):
        service.list_schemas()
    with pytest.raises(NewerFile, match=said):
        service.create_schema(name="s", schema=json.dumps(INTERACTIONS_SCHEMA))
    for words in (["doctor"], ["doctor", "--deep"], ["backup", str(tmp_path / "copy")]):
        done = CliRunner().invoke(app, [*words, "--home", str(home.path)])
        assert done.exit_code == 1
        text = " ".join(done.output.split())
        assert "schema version 99" in text
        assert "update PersonaLens" in text or "Update PersonaLens" in text
        for word in ("afresh", "reset"):  # nothing is wrong with it
            assert word not in text
    connection = sqlite3.connect(home.catalogue)
    assert connection.execute("PRAGMA user_version").fetchone() == (99,)
    connection.close()


def test_a_newer_event_log_is_refused_by_whoever_needs_it(newer, films):
    home = newer("events.sqlite")
    said = r"A newer PersonaLens wrote .*events\.sqlite.*schema version 99.*Update PersonaLens"
    service = Service(home)
    assert len(service.list_schemas()["schemas"]) == 1
    with pytest.raises(NewerFile, match=said):
        service.context.events.append(films.dataset, "s", "u", [Event("film-2", 2, "click")])
    with pytest.raises(NewerFile, match=said):
        service.context.events.newest()
    done = CliRunner().invoke(app, ["doctor", "--deep", "--home", str(home.path)])
    assert "PROBLEM  events" in done.output
    assert "update PersonaLens" in done.output


def test_the_version_of_the_home_is_that_of_its_catalogue(service, films):
    """An earlier version must refuse what it cannot read: manifests have checksums since 2."""
    connection = sqlite3.connect(service.home.catalogue)
    assert connection.execute("PRAGMA user_version").fetchone() == (len(MIGRATIONS),)
    connection.close()
    assert len(MIGRATIONS) >= 2
