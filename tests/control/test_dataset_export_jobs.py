"""Exports: what was imported, what was put, and both; an import reads an export as it was."""

from __future__ import annotations

import csv
import json

import pandas as pd
import pytest

from personalens.service_errors import InvalidInputException, ResourceNotFoundException
from personalens.storage.dataset_rows import DatasetRows
from tests.dataset_tables import schema_of

ROLE = "arn:aws:iam::123456789012:role/personalize"
NASTY = 'say "no", \\ back\\\\slash'


def schema(kind, *fields):
    return json.dumps(schema_of(kind, list(fields)))


ITEMS = schema(
    "Items",
    {"name": "ITEM_ID", "type": "string"},
    {"name": "TITLE", "type": ["null", "string"]},
    {"name": "PRICE", "type": ["null", "float"]},
    {"name": "NEW", "type": ["null", "boolean"]},
)


@pytest.fixture
def make_items(service, films, tmp_path):
    """Return a function that imports items into a new dataset; a group has one."""

    def make(table, mode="FULL", name="items", group=films.group):
        known = service.list_datasets(datasetGroupArn=group)["datasets"]
        arns = [d["datasetArn"] for d in known if d["datasetType"] == "ITEMS"]
        if not arns:
            arn = service.create_schema(name=f"schema-of-{name}", schema=ITEMS)["schemaArn"]
            made = service.create_dataset(
                name=name, schemaArn=arn, datasetGroupArn=group, datasetType="Items"
            )
            arns = [made["datasetArn"]]
        path = tmp_path / f"{name}.csv"
        table.to_csv(path, index=False, quoting=csv.QUOTE_ALL, doublequote=False, escapechar="\\")
        job = service.create_dataset_import_job(
            jobName=name,
            datasetArn=arns[0],
            dataSource={"dataLocation": str(path)},
            roleArn=ROLE,
            importMode=mode,
        )["datasetImportJobArn"]
        described = service.describe_dataset_import_job(datasetImportJobArn=job)
        assert described["datasetImportJob"]["status"] == "ACTIVE", described
        return arns[0]

    return make


@pytest.fixture
def export(service, tmp_path):
    """Return a function that exports a dataset: the lines of the file."""

    def export(dataset, mode=None, name="export"):
        job = service.create_dataset_export_job(
            jobName=name,
            datasetArn=dataset,
            roleArn=ROLE,
            jobOutput={"s3DataDestination": {"path": f"{tmp_path}/out/"}},
            **({} if mode is None else {"ingestionMode": mode}),
        )["datasetExportJobArn"]
        described = service.describe_dataset_export_job(datasetExportJobArn=job)["datasetExportJob"]
        assert described["status"] == "ACTIVE", described
        assert described["ingestionMode"] == (mode or "PUT")
        return (tmp_path / "out" / f"{name}.csv").read_text().splitlines()

    return export


def some_items(**columns):
    table = {"ITEM_ID": ["a", "b", "c"], "TITLE": [NASTY, None, "plain"]}
    return pd.DataFrame(table | {"PRICE": [0.1, 2.0, None], "NEW": ["true", "false", ""]} | columns)


def test_bulk_rows_in_the_schema_s_columns(make_items, export):
    lines = export(make_items(some_items()), "BULK")
    assert lines == [
        "ITEM_ID,TITLE,PRICE,NEW",
        '"a","say \\"no\\", \\\\ back\\\\\\\\slash",0.1,true'.replace('"a"', "a"),
        "b,,2,false",
        "c,plain,,",
    ]


def test_an_import_reads_an_export_as_it_was(service, make_items, export, tmp_path):
    def read(arn):
        return DatasetRows(service.context, service.context.store.require(arn)).read()

    first = make_items(some_items())
    export(first, "ALL")
    group = service.create_dataset_group(name="second")["datasetGroupArn"]
    again = service.create_dataset(
        name="again",
        schemaArn=service.describe_dataset(datasetArn=first)["dataset"]["schemaArn"],
        datasetGroupArn=group,
        datasetType="Items",
    )["datasetArn"]
    service.create_dataset_import_job(
        jobName="again",
        datasetArn=again,
        dataSource={"dataLocation": f"{tmp_path}/out/export.csv"},
        roleArn=ROLE,
    )
    assert read(again).equals(read(first))


def test_records_that_are_equal_in_everything_are_exported_once(make_items, export):
    dataset = make_items(some_items())
    changed = some_items(TITLE=[NASTY, None, "changed"])
    make_items(changed, "INCREMENTAL", "more")
    bulk = export(dataset, "BULK")
    assert sorted(line[0] for line in bulk[1:]) == ["a", "b", "c", "c"]
    newest = export(dataset, "ALL", "all")
    assert len(newest) == 1 + 3
    assert "c,changed,," in newest


def test_put_rows_are_the_default_and_all_has_both(service, films, make_items, export):
    dataset = make_items(some_items())
    assert export(dataset) == ["ITEM_ID,TITLE,PRICE,NEW"]
    service.put_items(
        datasetArn=dataset,
        items=[
            {"itemId": "c", "properties": '{"title": "newer", "price": 3.5}'},
            {"itemId": "d", "properties": '{"title": "new"}'},
        ],
    )
    assert export(dataset, "PUT", "put")[1:] == ["c,newer,3.5,", "d,new,,"]
    assert len(export(dataset, "BULK", "bulk")) == 1 + 3
    everything = export(dataset, "ALL", "all")
    assert [line[0] for line in everything[1:]] == ["a", "b", "c", "d"]
    assert "c,newer,3.5," in everything


def test_all_interactions_imported_and_put(service, films, export):
    tracker = service.create_event_tracker(name="clicks", datasetGroupArn=films.group)
    events = [
        {"eventType": "watch", "itemId": f"film-{n}", "sentAt": 1_700_000_000 + n, "eventValue": 2}
        for n in range(3)
    ]
    service.put_events(
        trackingId=tracker["trackingId"], sessionId="s", userId="viewer-1", eventList=events
    )
    header = "USER_ID,ITEM_ID,TIMESTAMP,EVENT_TYPE,EVENT_VALUE,DEVICE"
    put = export(films.dataset)
    assert put == [header, *(f"viewer-1,film-{n},{1_700_000_000 + n},watch,2," for n in range(3))]
    distinct = len(films.frame.drop_duplicates())
    bulk, both = export(films.dataset, "BULK", "bulk"), export(films.dataset, "ALL", "all")
    assert (len(bulk), len(both)) == (1 + distinct, 1 + distinct + 3)
    assert set(both) == set(bulk) | set(put)


def test_what_cannot_be_exported_is_refused(service, films, tmp_path):
    def create(dataset=films.dataset, path=f"{tmp_path}/out/", **options):
        service.create_dataset_export_job(
            jobName="x",
            datasetArn=dataset,
            roleArn=ROLE,
            jobOutput={"s3DataDestination": {"path": path}},
            **options,
        )

    text = schema(
        "Actions", {"name": "ACTION_ID", "type": "string"}, {"name": "VALUE", "type": "long"}
    )
    arn = service.create_schema(name="actions", schema=text)["schemaArn"]
    actions = service.create_dataset(
        name="actions", schemaArn=arn, datasetGroupArn=films.group, datasetType="Actions"
    )["datasetArn"]
    for options, reason in (
        ({"dataset": actions}, "cannot be exported"),
        ({"path": f"{service.home.path}/datasets/"}, "inside the home"),
        ({"path": f"{service.home.path}/labs/../models/"}, "climbs"),
        ({"path": "s3:///"}, "a bucket and a key"),
        ({"ingestionMode": "SOME"}, "enum value set"),
    ):
        with pytest.raises(InvalidInputException) as caught:
            create(**options)
        assert reason in str(caught.value)
    with pytest.raises(ResourceNotFoundException):
        create(dataset=films.dataset.replace("INTERACTIONS", "USERS"))
    assert service.list_dataset_export_jobs(datasetArn=films.dataset) == {"datasetExportJobs": []}
