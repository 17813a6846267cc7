"""Datasets as resources: what their columns are, and the folders in which their rows lie.

What the folders hold is read in :mod:`personalens.storage.dataset_rows`. Nothing here needs numpy
or pyarrow, so that operations, which only ask for a dataset's schema, load neither.
"""

from __future__ import annotations

import hashlib
import logging
import os
import secrets
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from personalens.arns import parse
from personalens.home import Home
from personalens.storage.catalogue import StorageError
from personalens.storage.resource_store import Resource, ResourceReader
from personalens.storage.service_context import ServiceContext

if TYPE_CHECKING:
    from personalens.datasets.avro_schemas import DatasetSchema

logger = logging.getLogger(__name__)

DATASET = "dataset"
_BIN_PREFIX = ".deleted-"


def dataset_folder(context: ServiceContext, dataset: Resource) -> Path:
    """Return where the imported rows of a dataset lie, for
    :class:`~personalens.datasets.dataset_files.DatasetFiles`.

    The digest distinguishes what differs by region, account or capital letters only; the rest of
    the name is for people.
    """
    parsed = parse(dataset.arn)
    digest = hashlib.blake2b(dataset.arn.encode(), digest_size=4).hexdigest()
    return context.home.datasets / f"{parsed.name}-{parsed.qualifier.lower()}-{digest}"


def parsed_schema(schema: Resource) -> DatasetSchema:
    """Return what a schema says."""
    from personalens.datasets.avro_schemas import parse_schema  # it loads fastavro

    return parse_schema(schema.body["schema"], domain=schema.body.get("domain"))


def dataset_schema(reader: ResourceReader, dataset: Resource) -> DatasetSchema:
    """Return what a dataset's columns are declared to be."""
    return parsed_schema(reader.require(dataset.body["schemaArn"], "schema"))


def dataset_schemas(reader: ResourceReader, dataset_group_arn: str) -> dict[str, DatasetSchema]:
    """Return the schemas of a group's datasets, by type in upper case."""
    datasets = reader.list(DATASET, parent_arn=dataset_group_arn)
    return {each.body["datasetType"]: dataset_schema(reader, each) for each in datasets}


def group_schemas(reader: ResourceReader, dataset_group_arn: str) -> dict[str, DatasetSchema]:
    """Return the schemas of a group's datasets, by "Interactions", "Items" and so on."""
    schemas = dataset_schemas(reader, dataset_group_arn).values()
    return {schema.dataset_type: schema for schema in schemas}


def sweep_folders(context: ServiceContext) -> None:
    """Remove what deletions left behind that were cut short by a crash."""
    store = context.jobs.store  # of all regions
    with store.transaction() as tx:
        owned = {dataset_folder(context, dataset) for dataset in tx.list(DATASET)}
        for folder in context.home.dataset_folders():  # by their names: a learner's own stay
            if folder.is_dir() and folder not in owned:
                discard_folder(folder)
        if context.home.events.exists():  # nobody may have put anything yet
            for arn in context.events.datasets() - {dataset.arn for dataset in tx.list(DATASET)}:
                context.events.drop(arn)
    _empty_bin(context.home)


def forget_rows(context: ServiceContext, dataset: Resource) -> None:
    """Remove the rows of a deleted dataset, unless it was made again in the meantime.

    The dataset is deleted already, so a failing disk is no error of the call: what stays is removed
    by :func:`sweep_folders`.
    """
    try:
        with context.store.transaction() as tx:
            found = tx.get(dataset.arn)
            if found is None or found.is_being_deleted:
                discard_folder(dataset_folder(context, dataset))
                context.events.drop(dataset.arn)
        _empty_bin(context.home)
    except (OSError, StorageError) as error:
        logger.warning("cannot remove the rows of %s yet: %s", dataset.arn, error)


def discard_folder(folder: Path) -> None:
    """Take a folder out of sight in one step. Only inside a transaction, in which nobody else can
    make or delete a dataset."""
    if folder.exists() and not folder.name.startswith(_BIN_PREFIX):
        os.replace(folder, folder.with_name(f"{_BIN_PREFIX}{secrets.token_hex(8)}"))


def _empty_bin(home: Home) -> None:
    for folder in home.datasets.glob(f"{_BIN_PREFIX}*"):
        shutil.rmtree(folder, ignore_errors=True)  # what stays is removed the next time
