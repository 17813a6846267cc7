"""Datasets: one table of a type in a group.

Amazon Personalize: CreateDataset, DescribeDataset, ListDatasets, UpdateDataset, DeleteDataset. A
dataset's ARN holds its group and its type, not its name, so a group has at most one of each type.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any

from personalens.arns import dataset_arn, parse
from personalens.control.operations.kinds import KindOperations
from personalens.control.operations.tags import put_tags
from personalens.datasets.avro_schemas import (
    SchemaError,
    check_schema_update,
    parse_schema,
)
from personalens.datasets.schema_rules import ACTION_INTERACTIONS, DATASET_TYPES
from personalens.service_errors import InvalidInputException, ResourceInUseException
from personalens.settings.solution_config import LATER_COLUMNS
from personalens.storage.dataset_folders import KIND, discard, forget_rows
from personalens.storage.dataset_rows import dataset_folder, dataset_schema
from personalens.storage.resource_states import (
    ACTIVE,
    UNFINISHED,
    is_in_transition,
    new_update,
    require_active,
    require_settled,
)
from personalens.storage.resource_store import Resource, Transaction

TYPES = tuple(name.upper() for name in DATASET_TYPES)


_HIDDEN_EVENT_DATASET = "EVENT_INTERACTIONS"
"""Made by trackers of 2019 beside INTERACTIONS; old clean-up notebooks delete it."""


class DatasetOperations(KindOperations):
    """The dataset operations of the control plane."""

    def create_dataset(
        self,
        *,
        name: str,
        schemaArn: str,
        datasetGroupArn: str,
        datasetType: str,
        tags: Sequence[dict[str, str]] | None = None,
    ) -> dict[str, Any]:
        """Make an empty dataset. ``datasetType`` may be written in any case."""
        kind = datasetType.upper()
        if kind not in TYPES:
            raise InvalidInputException(
                f"The dataset type {datasetType!r} is none of {', '.join(TYPES)}."
            )
        with self.context.store.transaction() as tx:
            group = require_active(tx.require(datasetGroupArn, "dataset-group"))
            schema = tx.require(schemaArn, "schema")
            _check_schema_fits(schema, kind, group)
            arn = dataset_arn(group.arn, kind)
            body = {"datasetGroupArn": group.arn, "datasetType": kind, "schemaArn": schemaArn}
            if kind == ACTION_INTERACTIONS.upper():
                body["trackingId"] = str(uuid.uuid4())
            dataset = tx.insert(Resource(arn, KIND, name, group.arn, ACTIVE, body=body))
            put_tags(tx, arn, tags)
            discard(dataset_folder(self.context, dataset))  # a predecessor's, after a crash
            self.context.events.drop(arn)
        return {"datasetArn": arn}

    def update_dataset(self, *, datasetArn: str, schemaArn: str) -> dict[str, Any]:
        """Replace the schema by one that has all the old fields and perhaps some that may be null.

        Rows that are there have null in the new columns. Solutions and recommenders that are there
        do not train on them: make another to use them.

        Raises
        ------
        InvalidInputException
            If a field was dropped or changed, an added one cannot be null, or the dataset is of
            neither items nor users.
        ResourceInUseException
            While an import into the dataset or a training of its group is under way.
        """
        with self.context.store.transaction() as tx:
            dataset = require_settled(tx.require(datasetArn, KIND))
            group = tx.require(dataset.body["datasetGroupArn"])
            schema = tx.require(schemaArn, "schema")
            _check_schema_fits(schema, dataset.body["datasetType"], group)
            before = dataset_schema(tx, dataset)
            after = parse_schema(schema.body["schema"], domain=schema.body.get("domain"))
            try:
                check_schema_update(before, after)
            except SchemaError as error:
                raise InvalidInputException(str(error)) from None
            _refuse_while_in_use(tx, dataset)
            update = new_update(ACTIVE, schemaArn=schemaArn)
            tx.update(datasetArn, schemaArn=schemaArn, latestDatasetUpdate=update)
            _exclude_from_training(tx, dataset, set(after.names) - set(before.names))
        return {"datasetArn": datasetArn}

    def delete_dataset(self, *, datasetArn: str) -> dict[str, Any]:
        """Delete a dataset, its rows and the records of its import jobs."""
        arn = parse(datasetArn)
        with self.context.store.transaction() as tx:
            if arn.qualifier == _HIDDEN_EVENT_DATASET and any(
                group.name == arn.name for group in tx.list("dataset-group")
            ):
                return {}
            dataset = tx.require(datasetArn, KIND)
        self._delete(KIND, datasetArn, _refuse_while_in_use)
        forget_rows(self.context, dataset)
        return {}


def _check_schema_fits(schema: Resource, kind: str, group: Resource) -> None:
    if schema.body["_datasetType"] != kind:
        raise InvalidInputException(
            f"Schema {schema.arn} describes {schema.body['_datasetType']}, not {kind}. Give a"
            " schema whose record has the name of the dataset type."
        )
    domain = group.body.get("domain")
    if domain is not None and schema.body.get("domain") != domain:
        raise InvalidInputException(
            f"Dataset group {group.arn} is of the domain {domain}; schema {schema.arn} is of"
            f" {schema.body.get('domain', 'none')}. Create the schema with domain={domain!r}."
        )


def _exclude_from_training(tx: Transaction, dataset: Resource, added: set[str]) -> None:
    """Note in what learns from a dataset which columns came later."""
    kind = dataset.body["datasetType"]
    for learner in _learners(tx, dataset):
        later = learner.body.get(LATER_COLUMNS, {})
        later[kind] = sorted({*later.get(kind, ()), *added})
        tx.update(learner.arn, **{LATER_COLUMNS: later})


def _learners(tx: Transaction, dataset: Resource) -> list[Resource]:
    """Return the solutions and recommenders of a dataset's group."""
    group = dataset.body["datasetGroupArn"]
    return [*tx.list("solution", parent_arn=group), *tx.list("recommender", parent_arn=group)]


def _refuse_while_in_use(tx: Transaction, dataset: Resource) -> None:
    users = tx.list("dataset-import-job", parent_arn=dataset.arn, status_in=UNFINISHED)
    for learner in _learners(tx, dataset):
        trained = [learner, *tx.list("solution-version", parent_arn=learner.arn)]
        users += [each for each in trained if is_in_transition(each)]
    if users:
        names = ", ".join(user.arn for user in users)
        raise ResourceInUseException(
            f"Dataset {dataset.arn} is in use by {names}. Wait until that is over, then try again."
        )
