"""A deletion is seen for a moment: DELETE PENDING, DELETE IN_PROGRESS, then there is nothing."""

from __future__ import annotations

import re
import subprocess
import sys
import time

import pytest

from personalens.control.operations.kinds import KINDS
from personalens.datasets.dataset_files import DatasetFiles
from personalens.service_errors import (
    InvalidInputException,
    ResourceAlreadyExistsException,
    ResourceInUseException,
    ResourceNotFoundException,
)
from personalens.storage import resource_store
from personalens.storage.model_folders import sweep_artifacts
from personalens.storage.resource_store import Resource, ResourceStore
from tests.contract.account import valid_requests

DELETED = {  # operation by kind; what the request names has nothing that stands against it
    "dataset-group": "DatasetGroup",
    "dataset": "Dataset",
    "solution": "Solution",
    "campaign": "Campaign",
    "filter": "Filter",
    "event-tracker": "EventTracker",
    "recommender": "Recommender",
    "metric-attribution": "MetricAttribution",
}
EVENT = {"eventType": "watch", "itemId": "film-1", "sentAt": 1_700_000_000}


@pytest.fixture
def clock(monkeypatch):
    """Tells the resources a time that a test moves."""

    class Clock:
        ahead = 0.0

        def time(self):
            return time.time() + self.ahead

    clock = Clock()
    monkeypatch.setattr(resource_store, "time", clock)
    monkeypatch.setattr("personalens.storage.resource_store.time", clock)
    return clock


def ask(account, verb, kind):
    """Call Describe or Delete of what the account's request names; return its status, if any."""
    request = valid_requests(account)[f"Delete{DELETED[kind]}"]
    answer = getattr(account.service, f"{verb}_{kind.replace('-', '_')}")(**request)
    return answer.get(KINDS[kind].member, {}).get("status")


@pytest.mark.parametrize("kind", DELETED)
def test_what_is_deleted_is_described_for_a_moment_and_then_gone(account, clock, kind):
    assert ask(account, "delete", kind) is None
    assert ask(account, "describe", kind) == "DELETE PENDING"
    clock.ahead = 0.7
    later = "DELETE PENDING" if kind == "dataset-group" else "DELETE IN_PROGRESS"
    assert ask(account, "describe", kind) == later
    with pytest.raises(ResourceInUseException, match="DELETE"):
        ask(account, "delete", kind)
    clock.ahead = 1.1
    for verb in ("describe", "delete"):
        with pytest.raises(ResourceNotFoundException):
            ask(account, verb, kind)


def test_a_schema_is_gone_at_once(account):
    service, arn = account.service, account.unused_schema
    service.delete_schema(schemaArn=arn)
    with pytest.raises(ResourceNotFoundException):
        service.describe_schema(schemaArn=arn)


def test_a_clock_that_is_set_back_keeps_nothing_alive(account, clock):
    ask(account, "delete", "filter")
    clock.ahead = -3600
    with pytest.raises(ResourceNotFoundException):
        ask(account, "describe", "filter")


def test_the_name_is_taken_until_it_is_gone(service, clock):
    arn = service.create_dataset_group(name="films")["datasetGroupArn"]
    service.delete_dataset_group(datasetGroupArn=arn)
    with pytest.raises(ResourceAlreadyExistsException):
        service.create_dataset_group(name="films")
    clock.ahead = 1.1
    assert service.create_dataset_group(name="films") == {"datasetGroupArn": arn}
    described = service.describe_dataset_group(datasetGroupArn=arn)
    assert described["datasetGroup"]["status"] == "ACTIVE"


def test_what_is_being_deleted_blocks_what_it_belongs_to(films, service, deploy, clock):
    campaign = deploy("aws-popularity-count")
    [solution] = [each["solutionArn"] for each in service.list_solutions()["solutions"]]
    group = {"datasetGroupArn": films.group}
    steps = (
        ("campaign", campaign, "solution", {"solutionArn": solution}),
        ("solution", solution, "dataset_group", group),
        ("dataset", films.dataset, "dataset_group", group),
    )
    for kind, arn, parent, request in steps:
        getattr(service, f"delete_{kind}")(**{f"{kind}Arn": arn})
        with pytest.raises(ResourceInUseException, match=re.escape(arn)):
            getattr(service, f"delete_{parent}")(**request)
        clock.ahead += 1.1
    service.delete_dataset_group(**group)
    with pytest.raises(ResourceInUseException, match="DELETE PENDING"):
        service.create_solution(
            name="late",
            datasetGroupArn=films.group,
            recipeArn="arn:aws:personalize:::recipe/aws-sims",
        )


def test_a_schema_is_in_use_until_its_dataset_is_gone(service, films, clock):
    service.delete_dataset(datasetArn=films.dataset)
    with pytest.raises(ResourceInUseException, match=films.dataset):
        service.delete_schema(schemaArn=films.schema)
    clock.ahead = 1.1
    service.delete_schema(schemaArn=films.schema)


def test_it_serves_nothing_any_more(account):
    service = account.service
    films = {"userId": "viewer-1", "numResults": 3}
    for kind in ("campaign", "recommender", "filter", "event-tracker"):
        ask(account, "delete", kind)
    for request in (
        {"campaignArn": account.tastes_campaign},
        {"recommenderArn": account.recommender},
        {"campaignArn": account.popular_campaign, "filterArn": account.filter},
    ):
        with pytest.raises(ResourceNotFoundException):
            service.get_recommendations(**request, **films)
    with pytest.raises(InvalidInputException, match="trackingId"):
        service.put_events(trackingId=account.tracking_id, sessionId="s", eventList=[EVENT])


def test_a_dataset_that_goes_takes_no_more_and_has_nothing_left(service, films, clock):
    tracker = service.create_event_tracker(name="live", datasetGroupArn=films.group)
    put = {"trackingId": tracker["trackingId"], "sessionId": "s", "eventList": [EVENT]}
    service.put_events(**put)
    folder = next(service.home.datasets.iterdir())
    service.delete_dataset(datasetArn=films.dataset)
    with pytest.raises(InvalidInputException, match="no Interactions dataset"):
        service.put_events(**put)
    with pytest.raises(ResourceInUseException):
        service.create_dataset_import_job(
            jobName="late",
            datasetArn=films.dataset,
            dataSource={"dataLocation": "/nowhere.csv"},
            roleArn="arn:aws:iam::123456789012:role/x",
        )
    clock.ahead = 1.1
    again = service.create_dataset(
        name="films",
        schemaArn=films.schema,
        datasetGroupArn=films.group,
        datasetType="Interactions",
    )["datasetArn"]
    assert again == films.dataset
    assert DatasetFiles(folder).is_empty
    assert service.context.events.newest(again) == 0


def test_versions_and_imports_go_with_what_they_belong_to(service, films, train, clock):
    version = train()
    solution = version.rpartition("/")[0]
    service.delete_solution(solutionArn=solution)
    with pytest.raises(ResourceInUseException, match="DELETE PENDING"):
        service.create_campaign(name="late", solutionVersionArn=version)
    clock.ahead = 1.1
    service.delete_dataset(datasetArn=films.dataset)
    clock.ahead = 2.2
    assert service.list_solution_versions() == {"solutionVersions": []}
    assert service.list_dataset_import_jobs() == {"datasetImportJobs": []}
    assert list(service.home.models.iterdir()) == []


def test_a_kill_in_the_middle_ends_right(service, films, train):
    """The process dies between the delete and the removal of the model: whoever looks after a
    second finds nothing, and the next sweep takes the model."""
    version = train()
    solution = version.rpartition("/")[0]
    program = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "from personalens.control.operations import solutions\n"
        "from personalens.control.operations.provider import PersonalizeProvider\n"
        "from personalens.jobs.opening import open_home\n"
        "from personalens.home import Home\n"
        "solutions.remove_artifact = lambda folder: os._exit(9)\n"
        "context = open_home(Home(Path(sys.argv[1])))\n"
        "PersonalizeProvider(context).delete_solution(solutionArn=sys.argv[2])\n"
    )
    command = [sys.executable, "-c", program, str(service.home.path), solution]
    assert subprocess.run(command, check=False).returncode == 9
    assert list(service.home.models.glob("*/*/config.json")) != []
    deadline = time.monotonic() + 5
    while service.list_solutions()["solutions"]:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    sweep_artifacts(service.home, ResourceStore(service.home))
    assert list(service.home.models.glob("*/*/config.json")) == []


def test_rows_of_the_past_are_removed_by_the_next_write(store, clock):
    arn = "arn:aws:personalize:us-east-1:123456789012:filter/westerns"
    with store.transaction() as tx:
        tx.insert(Resource(arn, "filter", "westerns", status="ACTIVE"))
        tx.begin_deletion(arn)
    clock.ahead = 1.1
    with store.transaction() as tx:
        assert tx.connection.execute("SELECT count(*) FROM resources").fetchone() == (0,)
