"""Datasets: one table of a type in a group.

Amazon Personalize: CreateDataset, DescribeDataset, ListDatasets, UpdateDataset, DeleteDataset. A
dataset's ARN holds its group and its type, not its name, so a group has at most one of each type.
"""

from __future__ import annotations

import hashlib
import logging
import os
import secrets
import shutil
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from personalens.arns import dataset_arn, parse
from personalens.control.catalogue import StorageError
from personalens.control.kinds import KindOperations
from personalens.control.resource_states import (
    ACTIVE,
    UNFINISHED,
    is_in_transition,
    new_update,
    require_active,
    require_settled,
)
from personalens.control.resource_store import Resource, ResourceReader, Transaction
from personalens.control.service_context import ServiceContext
from personalens.control.tags import put_tags
from personalens.datasets.avro_schemas import (
    DatasetSchema,
    SchemaError,
    check_schema_update,
    parse_schema,
)
from personalens.datasets.schema_rules import ACTION_INTERACTIONS, DATASET_TYPES
from personalens.home import Home
from personalens.service_errors import InvalidInputException, ResourceInUseException

logger = logging.getLogger(__name__)

KIND = "dataset"
TYPES = tuple(name.upper() for name in DATASET_TYPES)

LATER_COLUMNS = "_laterColumns"
"""Member of what learns from datasets: columns by dataset type that UpdateDataset has added since,
and on which it does not train."""

_BIN_PREFIX = ".deleted-"
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
            _discard(dataset_folder(self.context, dataset))  # a predecessor's, after a crash
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
        _forget_rows(self.context, dataset)
        return {}


def dataset_folder(context: ServiceContext, dataset: Resource) -> Path:
    """Return where the imported rows of a dataset lie, for
    :class:`~personalens.datasets.dataset_files.DatasetFiles`.

    The digest tells apart what differs by region, account or capital letters only; the rest is for
    people who look.
    """
    parsed = parse(dataset.arn)
    digest = hashlib.blake2b(dataset.arn.encode(), digest_size=4).hexdigest()
    return context.home.datasets / f"{parsed.name}-{parsed.qualifier.lower()}-{digest}"


def sweep_folders(context: ServiceContext) -> None:
    """Remove what deletions left behind that were cut short by a crash."""
    store = context.jobs.store  # of all regions
    with store.transaction() as tx:
        owned = {dataset_folder(context, dataset) for dataset in tx.list(KIND)}
        for folder in context.home.dataset_folders():  # by their names: a learner's own stay
            if folder.is_dir() and folder not in owned:
                _discard(folder)
        if context.home.events.exists():  # nobody may have put anything yet
            for arn in context.events.datasets() - {dataset.arn for dataset in tx.list(KIND)}:
                context.events.drop(arn)
    _empty_bin(context.home)


def _forget_rows(context: ServiceContext, dataset: Resource) -> None:
    """Remove the rows of a deleted dataset, unless it was made again in the meantime.

    The dataset is deleted already, so a failing disk is no error of the call: what stays is removed
    by :func:`sweep_folders`.
    """
    try:
        with context.store.transaction() as tx:
            found = tx.get(dataset.arn)
            if found is None or found.is_being_deleted:
                _discard(dataset_folder(context, dataset))
                context.events.drop(dataset.arn)
        _empty_bin(context.home)
    except (OSError, StorageError) as error:
        logger.warning("cannot remove the rows of %s yet: %s", dataset.arn, error)


def _discard(folder: Path) -> None:
    """Take a folder out of sight in one step. Only inside a transaction, in which nobody else can
    make or delete a dataset."""
    if folder.exists() and not folder.name.startswith(_BIN_PREFIX):
        os.replace(folder, folder.with_name(f"{_BIN_PREFIX}{secrets.token_hex(8)}"))


def _empty_bin(home: Home) -> None:
    for folder in home.datasets.glob(f"{_BIN_PREFIX}*"):
        shutil.rmtree(folder, ignore_errors=True)  # what stays is removed the next time


def dataset_schema(reader: ResourceReader, dataset: Resource) -> DatasetSchema:
    """Return what a dataset's columns are declared to be."""
    schema = reader.require(dataset.body["schemaArn"], "schema")
    return parse_schema(schema.body["schema"], domain=schema.body.get("domain"))


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
