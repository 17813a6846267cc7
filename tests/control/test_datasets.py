"""CreateDataset, DescribeDataset, ListDatasets, DeleteDataset, and where the rows lie."""

from __future__ import annotations

import errno
import json

import pytest

from personalens.control.operations import dataset_groups
from personalens.datasets.dataset_files import DatasetFiles
from personalens.service_errors import (
    InvalidInputException,
    ResourceInUseException,
    ResourceNotFoundException,
)
from personalens.storage import datasets
from personalens.storage.datasets import dataset_folder, sweep_folders
from personalens.storage.event_log import Event
from personalens.storage.resource_store import Resource
from tests.dataset_tables import schema_of

PREFIX = "arn:aws:personalize:us-east-1:123456789012"
GROUP = f"{PREFIX}:dataset-group/films"
ARN = f"{PREFIX}:dataset/films/INTERACTIONS"


@pytest.fixture
def group(service) -> str:
    return service.create_dataset_group(name="films")["datasetGroupArn"]


@pytest.fixture
def schema(service, avro) -> str:
    return service.create_schema(name="events", schema=avro("Interactions"))["schemaArn"]


def folder_of(service, arn: str):
    return dataset_folder(service.context, service.context.store.require(arn))


def test_the_arn_holds_group_and_type_not_the_name(service, group, schema):
    answer = service.create_dataset(
        name="my-name", schemaArn=schema, datasetGroupArn=group, datasetType="inTERactions"
    )
    assert answer == {"datasetArn": ARN}
    dataset = service.describe_dataset(datasetArn=ARN)["dataset"]
    assert dataset.pop("creationDateTime") == dataset.pop("lastUpdatedDateTime")
    assert dataset == {
        "name": "my-name",
        "datasetArn": ARN,
        "datasetGroupArn": GROUP,
        "datasetType": "INTERACTIONS",
        "schemaArn": schema,
        "status": "ACTIVE",
    }


def test_an_action_interactions_dataset_has_a_tracking_id(service, group):
    names = dict.fromkeys(("USER_ID", "ACTION_ID", "EVENT_TYPE"), "string") | {"TIMESTAMP": "long"}
    fields = [{"name": name, "type": kind} for name, kind in names.items()]
    record = schema_of("ActionInteractions", fields)
    schema = service.create_schema(name="actions", schema=json.dumps(record))["schemaArn"]
    arn = service.create_dataset(
        name="a", schemaArn=schema, datasetGroupArn=group, datasetType="Action_Interactions"
    )["datasetArn"]
    assert arn == f"{PREFIX}:dataset/films/ACTION_INTERACTIONS"
    assert len(service.describe_dataset(datasetArn=arn)["dataset"]["trackingId"]) == 36


@pytest.mark.parametrize(
    ("change", "error", "text"),
    [
        ({"datasetType": "Films"}, InvalidInputException, "'Films' is none of INTERACTIONS, ITEMS"),
        ({"datasetType": "Items"}, InvalidInputException, "describes INTERACTIONS, not ITEMS"),
        ({"schemaArn": f"{PREFIX}:schema/no"}, ResourceNotFoundException, "schema/no"),
        ({"datasetGroupArn": f"{PREFIX}:dataset-group/no"}, ResourceNotFoundException, "group/no"),
    ],
)
def test_what_does_not_fit_is_refused(service, group, schema, change, error, text):
    fits = {
        "name": "d",
        "schemaArn": schema,
        "datasetGroupArn": group,
        "datasetType": "Interactions",
    }
    with pytest.raises(error, match=text):
        service.create_dataset(**{**fits, **change})
    assert service.list_datasets() == {"datasets": []}


def test_a_domain_group_wants_schemas_of_its_domain(service, schema):
    group = service.create_dataset_group(name="films", domain="ECOMMERCE")["datasetGroupArn"]
    with pytest.raises(InvalidInputException, match=r"of the domain ECOMMERCE.*is of none"):
        service.create_dataset(
            name="d", schemaArn=schema, datasetGroupArn=group, datasetType="Interactions"
        )


@pytest.mark.parametrize(
    ("status", "error"),
    [
        ("CREATE PENDING", ResourceInUseException),
        ("DELETE IN_PROGRESS", ResourceInUseException),
        ("CREATE FAILED", InvalidInputException),
    ],
)
def test_the_group_must_be_active(service, group, schema, status, error):
    with service.context.store.transaction() as tx:
        tx.update(group, status=status)
    with pytest.raises(error, match=status):
        service.create_dataset(
            name="d", schemaArn=schema, datasetGroupArn=group, datasetType="Interactions"
        )


@pytest.mark.usefixtures("quick_deletions")
def test_a_training_in_progress_keeps_the_datasets_of_its_group(service, make_dataset):
    arn, books = make_dataset(), make_dataset(group="books")
    solution, version = f"{PREFIX}:solution/s", f"{PREFIX}:solution/s/0a1b2c3d"
    with service.context.store.transaction() as tx:
        body = {"datasetGroupArn": GROUP}
        tx.insert(Resource(solution, "solution", "s", GROUP, "ACTIVE", body=body))
        tx.insert(Resource(version, "solution-version", "v", solution, "CREATE IN_PROGRESS"))
    service.delete_dataset(datasetArn=books)
    with pytest.raises(ResourceInUseException, match=version):
        service.delete_dataset(datasetArn=arn)
    with service.context.store.transaction() as tx:
        tx.update(version, status="ACTIVE")
    service.delete_dataset(datasetArn=arn)
    assert service.list_datasets() == {"datasets": []}


def test_the_hidden_event_dataset_of_2019_can_be_deleted(service, group):
    service.delete_dataset(datasetArn=f"{PREFIX}:dataset/films/EVENT_INTERACTIONS")
    with pytest.raises(ResourceNotFoundException):
        service.delete_dataset(datasetArn=f"{PREFIX}:dataset/books/EVENT_INTERACTIONS")


@pytest.mark.usefixtures("quick_deletions")
def test_a_dataset_made_again_does_not_meet_its_predecessors_rows(
    service, make_dataset, write_events, monkeypatch
):
    arn = make_dataset()
    location = {"dataLocation": str(write_events())}
    service.create_dataset_import_job(jobName="first", datasetArn=arn, dataSource=location)
    with monkeypatch.context() as crash:  # the process dies between the deletion and the clean-up
        crash.setattr(dataset_groups, "forget_rows", lambda *arguments: None)
        service.delete_dataset(datasetArn=arn)
    service.delete_schema(schemaArn=f"{PREFIX}:schema/films-interactions")
    assert make_dataset() == arn
    assert DatasetFiles(folder_of(service, arn)).is_empty


def test_the_sweep_removes_orphans_only(service, make_dataset, write_events):
    arn = make_dataset()
    location = {"dataLocation": str(write_events())}
    service.create_dataset_import_job(jobName="first", datasetArn=arn, dataSource=location)
    folder = folder_of(service, arn)
    (folder.parent / "orphan-items-0a1b2c3d" / "parts").mkdir(parents=True)
    (folder.parent / ".deleted-1").mkdir()
    learners = folder.parent / "own"  # of a project whose folder is the home, too
    learners.mkdir()
    sweep_folders(service.context)
    assert sorted(folder.parent.iterdir()) == sorted([folder, learners])
    assert DatasetFiles(folder).row_count == 1000


def test_the_sweep_removes_what_was_put_into_a_dataset_whose_deletion_was_cut_short(
    service, make_dataset, monkeypatch
):
    arn = make_dataset()
    service.context.events.append(arn, "session", "viewer", [Event("film-1", 1, "watch")])
    with monkeypatch.context() as crash:
        crash.setattr(dataset_groups, "forget_rows", lambda *arguments: None)
        service.delete_dataset(datasetArn=arn)
    assert service.context.events.datasets() == {arn}
    sweep_folders(service.context)
    assert service.context.events.datasets() == set()


def test_a_dataset_is_deleted_even_if_its_rows_cannot_be_removed_yet(
    service, make_dataset, write_events, monkeypatch
):
    arn = make_dataset()
    location = {"dataLocation": str(write_events())}
    service.create_dataset_import_job(jobName="first", datasetArn=arn, dataSource=location)
    folder = folder_of(service, arn)

    def fail(*arguments):
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as disk:
        disk.setattr(datasets.os, "replace", fail)
        service.delete_dataset(datasetArn=arn)
    described = service.describe_dataset(datasetArn=arn)["dataset"]
    assert described["status"] == "DELETE PENDING"
    assert folder.exists()
    sweep_folders(service.context)
    assert not folder.exists()


def test_folders_differ_where_a_file_system_may_not(service, make_dataset):
    folders = {folder_of(service, make_dataset(group=group)) for group in ("films", "Films")}
    assert len({folder.name.lower() for folder in folders}) == 2
