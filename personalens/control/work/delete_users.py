"""A data deletion: users leave the rows and the models of a group."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from personalens.datasets.csv_blocks import CsvImportError, CsvSource, read_blocks
from personalens.datasets.csv_import import read_cells
from personalens.datasets.dataset_files import DatasetFiles
from personalens.jobs.job_runner import JobFailed, JobHandler
from personalens.progress import Progress, ProgressEvent
from personalens.storage.datasets import dataset_folder
from personalens.storage.job_queue import Job
from personalens.storage.model_folders import group_folders, load_model, replace_memory
from personalens.storage.object_storage import KEPT_FOLDERS, DataLocationError, find_sources
from personalens.storage.resource_store import COMPLETED, FAILED, IN_PROGRESS, Transaction
from personalens.storage.service_context import ServiceContext

MOST_BYTES = 100_000_000
OF_USERS = ("INTERACTIONS", "USERS", "ACTION_INTERACTIONS")
_COUNTED = "_rowsCounted"


def delete_users(context: ServiceContext, job: Job, report: Progress) -> None:
    """The job. Each step may be done again: it finds then that nothing is left to be done."""
    with context.jobs.holding(job) as tx:
        asked = tx.update(job.arn, status=IN_PROGRESS)
        group = asked.body["datasetGroupArn"]
        datasets = [
            dataset
            for dataset in tx.list("dataset", parent_arn=group)
            if dataset.body["datasetType"] in OF_USERS
        ]
    users = read_user_ids(
        asked.body["dataSource"]["dataLocation"],
        region=context.region,
        folders=asked.body.get(KEPT_FOLDERS),
    )
    files = [DatasetFiles(dataset_folder(context, dataset)) for dataset in datasets]
    if _COUNTED not in asked.body:  # before anything goes, so that a second attempt reports it all
        with context.jobs.holding(job) as tx:
            counted = sum(each.count_rows_of(users) for each in files)
            counted += context.events.count_users([each.arn for each in datasets], users)
            asked = tx.update(job.arn, **{_COUNTED: counted})
    report(ProgressEvent("removing the rows", 0.1))
    for each in files:
        each.remove_rows_of(users)
    folders = group_folders(context.home, context.store, group)
    for number, folder in enumerate(folders):
        report(ProgressEvent("removing the users from models", 0.3 + 0.6 * number / len(folders)))
        _forget_in_model(context, folder, users)
    context.events.delete_users([dataset.arn for dataset in datasets], users)
    with context.jobs.finishing(job) as tx:
        tx.update(job.arn, status=COMPLETED, numDeleted=asked.body[_COUNTED])


def read_user_ids(location: str, *, region: str, folders: Sequence[str] | None = None) -> list[str]:
    """Return the distinct ids of the CSV files at a location, in their order."""
    found: dict[str, None] = {}
    try:
        sources = find_sources(location, region=region, recursive=True, folders=folders)
        if (size := sum(source.size for source in sources)) > MOST_BYTES:
            raise JobFailed(f"The files have {size:,} bytes together; {MOST_BYTES:,} are allowed.")
        for source in sources:
            found.update(dict.fromkeys(_ids_of(source)))
    except (DataLocationError, CsvImportError) as error:
        raise JobFailed(str(error)) from error
    if not found:
        raise JobFailed("The file names no user: write one id a line below the header USER_ID.")
    return list(found)


def _ids_of(source: CsvSource) -> Iterator[str]:
    for part in read_blocks(source):
        if isinstance(part, list):
            names = [name.upper() for name in part]
            if "USER_ID" not in names:
                raise JobFailed("Input CSV is missing the following columns: [USER_ID].")
            if len(part) > 1:
                raise JobFailed(
                    f"{source.name} has {len(part)} columns; only USER_ID may be there."
                )
            continue
        for line, record in part.records():
            if record:
                yield from filter(None, read_cells(source.name, line, record, width=1))


def _forget_in_model(context: ServiceContext, folder: Path, users: Sequence[str]) -> None:
    try:
        model = load_model(folder, context.recipes())
    except FileNotFoundError:
        return  # its solution was deleted meanwhile
    except (ImportError, ValueError) as error:
        raise JobFailed(
            f"The users cannot be removed from a model. {error} Or delete its solution."
        ) from error
    if model.forget_users(users):
        replace_memory(folder, model)


def _fail(tx: Transaction, job: Job, reason: str) -> None:
    if _COUNTED in tx.require(job.arn).body:  # it had begun to remove, and does so piece by piece
        reason += " Some of the users' data may be gone already: ask for the deletion again."
    tx.update(job.arn, status=FAILED, failure_reason=reason)


def _stop(tx: Transaction, job: Job) -> None:
    _fail(tx, job, "It was stopped.")


DELETION_HANDLER = JobHandler(
    delete_users, on_failure=_fail, on_stopped=_stop, on_full_disk="The deletion is not complete."
)
