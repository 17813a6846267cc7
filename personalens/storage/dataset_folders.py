"""The folders of datasets: put away when a dataset is deleted, and swept after a crash."""

from __future__ import annotations

import logging
import os
import secrets
import shutil
from pathlib import Path

from personalens.home import Home
from personalens.storage.catalogue import StorageError
from personalens.storage.dataset_rows import dataset_folder
from personalens.storage.resource_store import Resource
from personalens.storage.service_context import ServiceContext

logger = logging.getLogger(__name__)


KIND = "dataset"


_BIN_PREFIX = ".deleted-"


def sweep_folders(context: ServiceContext) -> None:
    """Remove what deletions left behind that were cut short by a crash."""
    store = context.jobs.store  # of all regions
    with store.transaction() as tx:
        owned = {dataset_folder(context, dataset) for dataset in tx.list(KIND)}
        for folder in context.home.dataset_folders():  # by their names: a learner's own stay
            if folder.is_dir() and folder not in owned:
                discard(folder)
        if context.home.events.exists():  # nobody may have put anything yet
            for arn in context.events.datasets() - {dataset.arn for dataset in tx.list(KIND)}:
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
                discard(dataset_folder(context, dataset))
                context.events.drop(dataset.arn)
        _empty_bin(context.home)
    except (OSError, StorageError) as error:
        logger.warning("cannot remove the rows of %s yet: %s", dataset.arn, error)


def discard(folder: Path) -> None:
    """Take a folder out of sight in one step. Only inside a transaction, in which nobody else can
    make or delete a dataset."""
    if folder.exists() and not folder.name.startswith(_BIN_PREFIX):
        os.replace(folder, folder.with_name(f"{_BIN_PREFIX}{secrets.token_hex(8)}"))


def _empty_bin(home: Home) -> None:
    for folder in home.datasets.glob(f"{_BIN_PREFIX}*"):
        shutil.rmtree(folder, ignore_errors=True)  # what stays is removed the next time
