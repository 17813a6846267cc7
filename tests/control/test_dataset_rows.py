"""What a dataset holds: imported and put rows together, each once, the later one of two."""

from __future__ import annotations

import json
import time

import numpy as np
import pandas as pd
import pytest

from personalens.control.work.training_data import GroupDatasets
from personalens.storage.dataset_rows import DatasetRows, rows_of_group
from personalens.storage.event_log import Event
from tests.dataset_tables import schema_of

ITEMS_SCHEMA = schema_of(
    "Items",
    [
        {"name": "ITEM_ID", "type": "string"},
        {"name": "GENRES", "type": ["null", "string"], "categorical": True},
        {"name": "YEAR", "type": ["int", "null"]},
        {"name": "PLOT", "type": ["string", "null"], "textual": True},
    ],
)


@pytest.fixture
def rows(service):
    """Returns the rows of a dataset."""

    def rows(arn: str, **options) -> DatasetRows:
        return DatasetRows(service.context, service.context.store.require(arn), **options)

    return rows


@pytest.fixture
def items(service, films) -> str:
    schema = service.create_schema(name="items", schema=json.dumps(ITEMS_SCHEMA))["schemaArn"]
    return service.create_dataset(
        name="items", schemaArn=schema, datasetGroupArn=films.group, datasetType="Items"
    )["datasetArn"]


@pytest.fixture
def import_items(service, items, tmp_path):
    """Imports items whole; in its order with what is put before and after."""
    jobs = iter(range(9))

    def import_items(mode: str = "FULL", **years: int) -> None:
        job = f"items-{next(jobs)}"
        path = tmp_path / f"{job}.csv"
        frame = pd.DataFrame({"ITEM_ID": list(years), "YEAR": list(years.values())})
        frame.assign(GENRES="War", PLOT=None).to_csv(path, index=False)
        time.sleep(0.02)  # a file system's clock may be coarser than ours
        arn = service.create_dataset_import_job(
            jobName=job,
            datasetArn=items,
            dataSource={"dataLocation": str(path)},
            roleArn="arn:aws:iam::123456789012:role/personalize",
            importMode=mode,
        )["datasetImportJobArn"]
        described = service.describe_dataset_import_job(datasetImportJobArn=arn)
        assert described["datasetImportJob"]["status"] == "ACTIVE", described
        time.sleep(0.02)

    return import_items


def years(rows: DatasetRows) -> dict[str, int]:
    table = rows.read(["ITEM_ID", "YEAR"])
    return dict(zip(table["ITEM_ID"].to_pylist(), table["YEAR"].to_pylist(), strict=True))


def put(service, arn: str, **years: int | None) -> None:
    service.context.events.put(
        arn, {item: {"YEAR": year} if year else {} for item, year in years.items()}
    )


def test_put_items_alone_are_a_dataset(service, films, items, rows):
    assert rows(items).is_empty
    put(service, items, a=1990)
    assert not rows(items).is_empty
    assert years(rows(items)) == {"a": 1990}
    assert "ITEMS" in rows_of_group(service.context, films.group)


def test_of_one_item_the_later_record_counts(service, items, rows, import_items):
    put(service, items, a=1, b=2)
    import_items(a=10, c=30)
    put(service, items, c=3, d=4)
    assert years(rows(items)) == {"a": 10, "b": 2, "c": 3, "d": 4}
    import_items("INCREMENTAL", d=40)
    assert years(rows(items)) == {"a": 10, "b": 2, "c": 3, "d": 40}
    import_items(a=100)  # a FULL import replaces what was imported, and leaves what was put
    assert years(rows(items)) == {"a": 100, "b": 2, "c": 3, "d": 4}


def test_a_put_record_replaces_the_whole_imported_one(service, items, rows, import_items):
    import_items(a=10)
    put(service, items, a=None)
    (row,) = rows(items).read().to_pylist()
    assert row == {"ITEM_ID": "a", "GENRES": None, "YEAR": None, "PLOT": None}


def test_text_that_was_put_is_cleaned_as_imported_text_is(service, items, rows):
    service.context.events.put(items, {"a": {"PLOT": "<p>Two   <b>brothers</b></p>"}})
    assert rows(items).read()["PLOT"].to_pylist() == ["Two brothers"]


def test_revisions_tell_rows_apart(service, items, rows, import_items):
    seen = [rows(items).revision]
    put(service, items, a=1)
    seen.append(rows(items).revision)
    import_items(a=10)
    seen.append(rows(items).revision)
    assert len(set(seen)) == 3
    assert rows(items).revision == seen[-1]


def test_events_join_the_imported_ones_in_the_columns_of_the_schema(service, films, rows):
    imported = rows(films.dataset).read_interactions()
    log = service.context.events
    event = Event("film-new", 1_700_000_000, "watch", 4.0, properties={"DEVICE": "tv"})
    log.append(films.dataset, "s", "viewer-1", [event, Event(None, 1_700_000_001, "Search")])
    log.append(films.dataset, "unknown", None, [Event("film-1", 1_700_000_002, "click")])
    both = rows(films.dataset).read_interactions()
    assert len(both) == len(imported) + 1
    newest = both.rows_of(both.users.code("viewer-1")).stop - 1
    assert both.items.ids[both.item_codes[newest]] == "film-new"
    assert both.event_types[newest] == "watch"
    assert both.event_values[newest] == 4.0
    assert both.context["DEVICE"][newest] == "tv"
    assert both.event_values.dtype == np.float32
    assert set(both.context) == set(imported.context) == {"DEVICE"}
    before = rows(films.dataset, until=log.newest() - 3).read_interactions()
    assert len(before) == len(imported)


def test_an_event_that_was_imported_too_counts_once(service, films, rows):
    row = films.frame.iloc[0]
    again = Event(row.ITEM_ID, int(row.TIMESTAMP), row.EVENT_TYPE, event_value=2.5)
    service.context.events.append(films.dataset, "s", row.USER_ID, [again])
    both = rows(films.dataset).read().to_pandas()
    assert len(both) == len(films.frame.drop_duplicates(list(films.frame.columns[:4])))
    same = both.merge(row[["USER_ID", "ITEM_ID", "TIMESTAMP", "EVENT_TYPE"]].to_frame().T)
    assert same.EVENT_VALUE.tolist() == [2.5]  # the last delivered


def test_impressions_train_even_without_a_column(service, films, rows):
    event = Event("film-1", 1_700_000_000, "click", impression="film-1|film-2")
    service.context.events.append(films.dataset, "s", "viewer-1", [event])
    both = rows(films.dataset).read_interactions()
    seen = [value for value in both.context["IMPRESSION"] if isinstance(value, str)]
    assert seen == ["film-1|film-2"]
    datasets = GroupDatasets(service.context, films.group, {}, until=2**62)
    assert "IMPRESSION" in datasets.with_trainable_context(both).context
