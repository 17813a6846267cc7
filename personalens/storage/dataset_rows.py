"""What a dataset holds: the imported rows, and what was put one by one.

Amazon Personalize: PutEvents and its like "append to" the dataset; a FULL import replaces the bulk
rows and leaves those that were put. Where both have the same item, user or action, the one that
came later counts.
"""

from __future__ import annotations

import json
from collections.abc import Hashable, Iterable, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa

from personalens.datasets.avro_schemas import DatasetSchema
from personalens.datasets.column_checks import column_checks
from personalens.datasets.dataset_files import DatasetFiles, PutRows
from personalens.datasets.interactions import Interactions
from personalens.datasets.schema_rules import ACTION_INTERACTIONS, INTERACTIONS, rules_for
from personalens.storage.datasets import dataset_folder, dataset_schema
from personalens.storage.resource_store import Resource
from personalens.storage.service_context import ServiceContext

IMPRESSION = "IMPRESSION"
OF_THE_LOG = (
    "USER_ID",
    "TIMESTAMP",
    "EVENT_TYPE",
    "EVENT_VALUE",
    IMPRESSION,
    "RECOMMENDATION_ID",
    "EVENT_ATTRIBUTION_SOURCE",
)
"""Columns of an event that the log keeps by themselves; the others are in its properties."""


def logged_columns(schema: DatasetSchema) -> frozenset[str]:
    """Return the columns of an events schema that the log keeps by themselves. In a dataset that
    does not reserve it, such as EVENT_VALUE of action interactions, a name is a column of its own.
    """
    reserved = rules_for(schema.dataset_type).reserved
    return frozenset(name for name in OF_THE_LOG if name in reserved)


def subject_column(schema: DatasetSchema) -> str:
    """Return the column of what an event is about: an item, or an action."""
    return "ACTION_ID" if schema.dataset_type == ACTION_INTERACTIONS else "ITEM_ID"


class DatasetRows:
    """The rows of one dataset, imported and put, up to a number of the event log (default: all)."""

    def __init__(self, context: ServiceContext, dataset: Resource, *, until: int | None = None):
        self._context, self._dataset, self._until = context, dataset, until
        self.files = DatasetFiles(dataset_folder(context, dataset))

    @cached_property
    def schema(self) -> DatasetSchema:
        """What the columns are declared to be."""
        return dataset_schema(self._context.store, self._dataset)

    @cached_property
    def put(self) -> PutRows | None:
        """What was put, in the columns of the schema; None if nothing was. Events of sessions whose
        user is not known are left out, and those that are about no item, such as a search."""
        log, arn, kind = self._context.events, self._dataset.arn, self.schema.dataset_type
        if log.revision(arn) == 0:
            return None
        if kind in (INTERACTIONS, ACTION_INTERACTIONS):
            batches = (
                b.filter(b["ITEM_ID"].is_valid()) for b in log.batches(arn, until=self._until)
            )
            found = [(event_table(self.schema, b), b["RECEIVED_AT"].to_numpy()) for b in batches]
        else:
            found = [
                (record_table(self.schema, rows), np.array([put_at for _, put_at, _ in rows]))
                for rows in log.records(arn)
            ]
        if not any(table.num_rows for table, _ in found):
            return None
        table = pa.concat_tables([table for table, _ in found])
        if IMPRESSION not in self.schema.names and IMPRESSION in table.column_names:
            without = table[IMPRESSION].null_count == table.num_rows
            table = table.drop_columns(IMPRESSION) if without else table
        times = np.maximum.accumulate(np.concatenate([times for _, times in found]))
        return PutRows(kind, table, times)

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing, neither imported nor put."""
        return self.files.is_empty and self.put is None

    @property
    def revision(self) -> Hashable:
        """Another one stands for other rows."""
        put = self._context.events.revision(self._dataset.arn)
        return str(self.files.folder), self.files.manifest.generation, put

    def read(self, columns: Sequence[str] | None = None) -> pa.Table:
        """Return the rows, duplicates left out, with these columns (default: all)."""
        return self.files.read(columns, put=self.put)

    def read_interactions(self) -> Interactions:
        """Return the events of an Interactions dataset, ready for a recipe."""
        return self.files.read_interactions(put=self.put)


def event_table(schema: DatasetSchema, batch: pa.RecordBatch) -> pa.Table:
    """Return events of the log in the columns of an Interactions or Action_Interactions schema,
    and their impressions even where it has no column for them."""
    item_column, logged = subject_column(schema), logged_columns(schema)
    properties = [json.loads(text) if text else {} for text in batch["PROPERTIES"].to_pylist()]
    columns: dict[str, Any] = {}
    for name, check in column_checks(schema).items():
        if name == item_column:
            columns[name] = batch["ITEM_ID"]
        elif name in logged:
            columns[name] = batch[name]
        else:
            columns[name] = pa.array([row.get(name) for row in properties], check.arrow_type)
    columns.setdefault(IMPRESSION, batch[IMPRESSION])
    return pa.table(columns)


def record_table(schema: DatasetSchema, rows: Iterable[tuple[str, float, Any]]) -> pa.Table:
    """Return put records in the columns of an Items, Users or Actions schema."""
    id_column = f"{schema.dataset_type.removesuffix('s').upper()}_ID"
    ids, _, records = zip(*rows, strict=True)
    columns = {}
    for name, check in column_checks(schema).items():
        values = ids if name == id_column else [record.get(name) for record in records]
        columns[name] = check.clean(pa.chunked_array([pa.array(values, check.arrow_type)]))
    return pa.table(columns)


def rows_of_group(
    context: ServiceContext, dataset_group_arn: str, *, until: int | None = None
) -> dict[str, DatasetRows]:
    """Return the datasets of a group that hold anything, by type in upper case."""
    found = {
        dataset.body["datasetType"]: DatasetRows(context, dataset, until=until)
        for dataset in context.store.list("dataset", parent_arn=dataset_group_arn)
    }
    return {kind: rows for kind, rows in found.items() if not rows.is_empty}
