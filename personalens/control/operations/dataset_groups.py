"""Dataset groups and what their data come in by: schemas, datasets and event trackers.

Amazon Personalize: Create-, Describe-, List- and Delete- of Schema, DatasetGroup, Dataset and
EventTracker, and UpdateDataset. The service makes groups asynchronously; here there is nothing to
wait for, so a group is ACTIVE at the first Describe.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any

from personalens.arns import dataset_arn, parse
from personalens.control.operations.kinds import KindOperations
from personalens.service_errors import (
    InvalidInputException,
    ResourceAlreadyExistsException,
    ResourceInUseException,
    as_invalid_input,
)
from personalens.settings.solution_config import LATER_COLUMNS
from personalens.storage.datasets import (
    DATASET,
    dataset_folder,
    dataset_schema,
    discard_folder,
    forget_rows,
    parsed_schema,
)
from personalens.storage.resource_store import (
    ACTIVE,
    UNFINISHED,
    Resource,
    Transaction,
    is_in_transition,
    new_update,
    require_active,
    require_settled,
)
from personalens.storage.service_context import tracker_arn

SCHEMA, DATASET_GROUP, EVENT_TRACKER = "schema", "dataset-group", "event-tracker"
TYPES = ("INTERACTIONS", "ITEMS", "USERS", "ACTIONS", "ACTION_INTERACTIONS")

_HIDDEN_EVENT_DATASET = "EVENT_INTERACTIONS"
"""Made by trackers of 2019 beside INTERACTIONS; old clean-up notebooks delete it."""


class SchemaOperations(KindOperations):
    """Schemas: immutable Avro texts that datasets refer to. They have no status: what was accepted
    is there."""

    def create_schema(self, *, name: str, schema: str, domain: str | None = None) -> dict[str, Any]:
        """Check a schema by every rule of the service and keep it."""
        from personalens.datasets.avro_schemas import SchemaError, parse_schema  # loads fastavro

        with as_invalid_input(SchemaError):
            parsed = parse_schema(schema, domain=domain)
        body = {"schema": schema, "domain": domain, "_datasetType": parsed.dataset_type.upper()}
        with self.context.store.transaction() as tx:
            made = self._create(tx, SCHEMA, name, body, status=None)
        return {"schemaArn": made.arn}


class DatasetGroupOperations(KindOperations):
    """Dataset groups: what everything else belongs to."""

    def create_dataset_group(
        self,
        *,
        name: str,
        roleArn: str | None = None,
        kmsKeyArn: str | None = None,
        domain: str | None = None,
        tags: Sequence[dict[str, str]] | None = None,
    ) -> dict[str, Any]:
        """Make an empty group; with ``domain`` its datasets follow that domain's rules.

        The role and the key are kept and shown; nothing is encrypted with them.
        """
        if (roleArn is None) != (kmsKeyArn is None):
            given, missing = ("roleArn", "kmsKeyArn") if roleArn else ("kmsKeyArn", "roleArn")
            raise InvalidInputException(
                f"{given} was given without {missing}. A key is used through a role: give both, or"
                " neither."
            )
        body = {"roleArn": roleArn, "kmsKeyArn": kmsKeyArn, "domain": domain}
        with self.context.store.transaction() as tx:
            made = self._create(tx, DATASET_GROUP, name, body, tags=tags)
        answer = {"datasetGroupArn": made.arn}
        return answer if domain is None else {**answer, "domain": domain}


class DatasetOperations(KindOperations):
    """Datasets: one table of a type in a group. A dataset's ARN holds its group and its type, not
    its name, so a group has at most one of each type."""

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
            group = require_active(tx.require(datasetGroupArn, DATASET_GROUP))
            _check_schema_fits(tx.require(schemaArn, SCHEMA), kind, group)
            arn = dataset_arn(group.arn, kind)
            body = {"datasetGroupArn": group.arn, "datasetType": kind, "schemaArn": schemaArn}
            if kind == "ACTION_INTERACTIONS":
                body["trackingId"] = str(uuid.uuid4())
            dataset = self._create(tx, DATASET, name, body, arn=arn, tags=tags)
            discard_folder(dataset_folder(self.context, dataset))  # a predecessor's, after a crash
            self.context.events.drop(arn)
        return {"datasetArn": arn}

    def update_dataset(self, *, datasetArn: str, schemaArn: str) -> dict[str, Any]:
        """Replace the schema by one that has all the old fields and perhaps some that may be null.

        Only datasets of items and of users are updated, and not while an import into the dataset or
        a training of its group is under way. Rows that are there have null in the new columns.
        Solutions and recommenders that are there do not train on them: make another to use them.
        """
        from personalens.datasets.avro_schemas import SchemaError, check_schema_update

        with self.context.store.transaction() as tx:
            dataset = require_settled(tx.require(datasetArn, DATASET))
            group = tx.require(dataset.body["datasetGroupArn"])
            schema = tx.require(schemaArn, SCHEMA)
            _check_schema_fits(schema, dataset.body["datasetType"], group)
            before, after = dataset_schema(tx, dataset), parsed_schema(schema)
            with as_invalid_input(SchemaError):
                check_schema_update(before, after)
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
                group.name == arn.name for group in tx.list(DATASET_GROUP)
            ):
                return {}
            dataset = tx.require(datasetArn, DATASET)
        self._delete(DATASET, datasetArn, _refuse_while_in_use)
        forget_rows(self.context, dataset)
        return {}


class EventTrackerOperations(KindOperations):
    """Event trackers: where a dataset group's live events come in.

    A tracker brings its events into the group's Interactions dataset; the hidden EVENT_INTERACTIONS
    dataset of 2019 is not made. The events stay when the tracker goes.
    """

    def create_event_tracker(
        self, *, name: str, datasetGroupArn: str, tags: Sequence[dict[str, str]] | None = None
    ) -> dict[str, Any]:
        """Make the one tracker of a dataset group; its ``trackingId`` is what PutEvents takes."""
        context, tracking_id = self.context, str(uuid.uuid4())
        arn = tracker_arn(context, tracking_id)
        body = {
            "datasetGroupArn": datasetGroupArn,
            "trackingId": tracking_id,
            "accountId": context.account,
        }
        with context.store.transaction() as tx:
            require_active(tx.require(datasetGroupArn, DATASET_GROUP))
            if others := tx.list(EVENT_TRACKER, parent_arn=datasetGroupArn, also_deleted=True):
                raise ResourceAlreadyExistsException(
                    f"Another resource with Arn {others[0].arn} already exists. A dataset group "
                    "has one event tracker: use that one, or delete it first."
                )
            self._create(tx, EVENT_TRACKER, name, body, arn=arn, tags=tags)
        return {"eventTrackerArn": arn, "trackingId": tracking_id}


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
