"""kill -9 of the worker and of the caller in the middle of an import; a worker that freezes."""

from __future__ import annotations

import os
import signal

import pytest

from personalens.datasets.dataset_files import DatasetFiles
from personalens.storage.datasets import dataset_folder
from tests.faults.conftest import StallingStorage, make_dataset, until, workers


@pytest.fixture
def dataset(personalize) -> str:
    return make_dataset(personalize)


@pytest.fixture
def begin(personalize, dataset, context, storage):
    """Return a function that starts an import and waits until its first rows are read."""

    def begin(name: str = "job", mode: str = "FULL") -> str:
        arn = personalize.create_dataset_import_job(
            jobName=name,
            datasetArn=dataset,
            dataSource={"dataLocation": storage.LOCATION},
            importMode=mode,
        )["datasetImportJobArn"]
        reach_the_middle(context, arn)
        return arn

    return begin


def reach_the_middle(context, arn: str, attempt: int = 1) -> None:
    def has_rows() -> bool:
        progress = context.jobs.progress(arn)
        return progress["attempt"] == attempt and progress.get("rows", 0) > 0

    assert until(has_rows), context.jobs.progress(arn)
    assert context.store.require(arn).status == "CREATE IN_PROGRESS"


def status_of(personalize, arn: str) -> str:
    described = personalize.describe_dataset_import_job(datasetImportJobArn=arn)
    return described["datasetImportJob"]["status"]


def files_of(context, dataset: str) -> DatasetFiles:
    return DatasetFiles(dataset_folder(context, context.store.require(dataset)))


def test_a_killed_worker_is_replaced_at_the_next_describe(
    personalize, context, dataset, storage, begin
):
    arn = begin()
    (worker,) = workers(context)
    os.kill(worker.pid, signal.SIGKILL)
    assert until(worker.is_gone)
    assert files_of(context, dataset).is_empty
    storage.released.set()
    assert until(lambda: status_of(personalize, arn) == "ACTIVE")
    files = files_of(context, dataset)
    assert files.row_count == storage.rows
    assert context.jobs.progress(arn)["attempt"] == 2
    assert {path.name for path in files.folder.iterdir()} <= {"parts", "current.json", ".lock"}
    assert len(list((files.folder / "parts").iterdir())) == 1


def test_an_import_that_was_killed_leaves_the_data_of_the_one_before(
    personalize, context, dataset, storage, begin, tmp_path
):
    few = tmp_path / "few.csv"
    few.write_bytes(storage.body[: storage.body.index(b"\n", 40_000) + 1])
    arn = personalize.create_dataset_import_job(
        jobName="before", datasetArn=dataset, dataSource={"dataLocation": str(few)}
    )["datasetImportJobArn"]
    assert until(lambda: status_of(personalize, arn) == "ACTIVE")
    before = files_of(context, dataset).manifest
    arn = begin()
    for worker in workers(context):
        os.kill(worker.pid, signal.SIGKILL)
    assert files_of(context, dataset).manifest == before
    assert files_of(context, dataset).read().num_rows == before.rows > 1000
    storage.released.set()
    assert until(lambda: status_of(personalize, arn) == "ACTIVE")
    assert files_of(context, dataset).row_count == storage.rows


def test_a_job_that_kills_every_worker_fails_with_a_reason(
    personalize, context, dataset, storage, begin
):
    arn = begin()
    for attempt in (1, 2, 3):
        assert until(
            lambda attempt=attempt: (
                status_of(personalize, arn) and context.jobs.progress(arn)["attempt"] == attempt
            )
        )
        for worker in workers(context):
            os.kill(worker.pid, signal.SIGKILL)
            assert until(worker.is_gone)
    assert until(lambda: status_of(personalize, arn) == "CREATE FAILED")
    assert "ended unexpectedly 3 times" in context.store.require(arn).failure_reason
    assert files_of(context, dataset).is_empty


def test_a_frozen_worker_that_wakes_up_changes_nothing(
    personalize, context, dataset, storage, begin
):
    arn = begin()
    (frozen,) = workers(context)
    os.kill(frozen.pid, signal.SIGSTOP)
    try:
        with context.store.transaction() as tx:  # twenty seconds pass
            tx.connection.execute("UPDATE jobs SET lease_wall = 0, lease_monotonic = 0")
        storage.released.set()
        assert until(lambda: status_of(personalize, arn) == "ACTIVE")
        assert context.jobs.progress(arn)["attempt"] == 2
        after, resource = files_of(context, dataset).manifest, context.store.require(arn)
    finally:
        os.kill(frozen.pid, signal.SIGCONT)
    assert until(frozen.is_gone)  # it noticed, and left when it was idle
    assert files_of(context, dataset).manifest == after
    assert files_of(context, dataset).read().num_rows == storage.rows
    assert context.store.require(arn) == resource


CALLER = """
import signal
import sys
from pathlib import Path
from personalens.control.operations.provider import PersonalizeProvider
from personalens.jobs.opening import open_home
from personalens.storage.service_context import ServiceContext
from personalens.home import Home

signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where tests run behind "&"
provider = PersonalizeProvider(open_home(Home(Path(sys.argv[1]))))
print(provider.create_dataset_import_job(
    jobName="job", datasetArn=sys.argv[2], dataSource={"dataLocation": sys.argv[3]}
)["datasetImportJobArn"], flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_the_import_goes_on_when_its_caller_is_killed(
    context, dataset, storage, run_python, number
):
    caller = run_python(CALLER, context.home.path, dataset, StallingStorage.LOCATION)
    arn = caller.stdout.readline().strip()
    assert arn.startswith("arn:"), arn + caller.stdout.read()
    reach_the_middle(context, arn)
    os.killpg(caller.pid, number)  # Jupyter, too, kills the whole group of a kernel
    caller.wait()
    storage.released.set()
    # Nobody describes it: the store is looked at directly, which starts no worker.
    assert until(lambda: context.store.require(arn).status == "ACTIVE")
    assert context.jobs.progress(arn)["attempt"] == 1
    assert files_of(context, dataset).row_count == storage.rows
