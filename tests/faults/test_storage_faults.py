"""A full disk and a home that cannot be written: a clear error, nothing half done."""

from __future__ import annotations

import json
import resource as limits
import sqlite3
from pathlib import Path

import pytest

from personalens.control.operations.provider import PersonalizeProvider
from personalens.datasets import dataset_files
from personalens.datasets.dataset_files import DatasetFiles
from personalens.home import Home
from personalens.jobs.opening import open_home
from personalens.storage import catalogue
from personalens.storage.catalogue import StorageError
from personalens.storage.datasets import dataset_folder
from personalens.storage.resource_store import ResourceStore
from tests.faults.conftest import EVENTS_SCHEMA, make_dataset, until, workers


@pytest.fixture
def inline(home: Home) -> PersonalizeProvider:
    return PersonalizeProvider(open_home(home, inline_jobs=True))


def write_events(path: Path, rows: int) -> Path:
    lines = [
        f"u{n * 7919 % 99991},i{n * 104729 % 99991},{1_600_000_000 + n}\n" for n in range(rows)
    ]
    path.write_text("USER_ID,ITEM_ID,TIMESTAMP\n" + "".join(lines))
    return path


def run_import(personalize: PersonalizeProvider, dataset: str, path: Path, name: str) -> dict:
    arn = personalize.create_dataset_import_job(
        jobName=name, datasetArn=dataset, dataSource={"dataLocation": str(path)}
    )["datasetImportJobArn"]
    return personalize.describe_dataset_import_job(datasetImportJobArn=arn)["datasetImportJob"]


# A file that may not grow is what a full disk is to whoever writes: write() fails in its midst.
FILLER = """
import json, resource, sys
from pathlib import Path
from personalens.control.operations.provider import PersonalizeProvider
from personalens.jobs.opening import open_home
from personalens.storage.service_context import ServiceContext
from personalens.home import Home
from personalens.service_errors import ServiceError

provider = PersonalizeProvider(open_home(Home(Path(sys.argv[1])), inline_jobs=True))
provider.create_dataset_group(name="before")
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))
created = []
try:
    for number in range(1000):
        created.append(f"s{number}")
        provider.create_schema(name=created[-1], schema=sys.argv[3])
except ServiceError as error:
    failed = created.pop()
    listed = [s["name"] for s in provider.list_schemas(maxResults=100)["schemas"]]
    print(json.dumps([created, failed, listed, error.code, str(error)]))
"""


def test_a_full_disk_stops_a_write_whole_and_reads_go_on(home, run_python):
    process = run_python(FILLER, home.path, 300_000, EVENTS_SCHEMA)
    output, _ = process.communicate()
    created, failed, listed, code, message = json.loads(output)
    assert len(created) > 1
    assert code == "StorageError"
    assert str(home.catalogue) in message
    assert "the disk is full or fails" in message
    assert "PERSONALENS_HOME" in message
    assert listed == created[:100]
    # The disk has room again: everything that was acknowledged is there, and nothing else.
    store = ResourceStore(home)
    assert [r.name for r in store.list("schema")] == created
    with store.catalogue.reading() as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    provider = PersonalizeProvider(open_home(home, inline_jobs=True))
    provider.create_schema(name=failed, schema=EVENTS_SCHEMA)
    assert len(store.list("schema")) == len(created) + 1


def test_a_disk_that_fills_up_during_an_import_fails_the_job_and_keeps_the_data(
    inline, home, tmp_path
):
    dataset = make_dataset(inline)
    assert run_import(inline, dataset, write_events(tmp_path / "a.csv", 1000), "a")["status"] == (
        "ACTIVE"
    )
    files = DatasetFiles(dataset_folder(inline.context, inline.context.store.require(dataset)))
    before = files.manifest
    big = write_events(tmp_path / "b.csv", 200_000)
    _, hard = limits.getrlimit(limits.RLIMIT_FSIZE)
    limits.setrlimit(limits.RLIMIT_FSIZE, (1_000_000, hard))
    try:
        job = run_import(inline, dataset, big, "b")
    finally:
        limits.setrlimit(limits.RLIMIT_FSIZE, (hard, hard))
    assert job["status"] == "CREATE FAILED"
    assert f"no room left to write below {home.path}" in job["failureReason"]
    assert files.manifest == before
    assert files.read().num_rows == 1000
    assert {path.name for path in files.folder.iterdir()} <= {"parts", "current.json", ".lock"}
    assert run_import(inline, dataset, big, "c")["status"] == "ACTIVE"
    assert files.row_count == 200_000


def test_a_disk_that_fills_up_at_the_last_step_keeps_the_data_too(inline, tmp_path, monkeypatch):
    dataset = make_dataset(inline)
    run_import(inline, dataset, write_events(tmp_path / "a.csv", 1000), "a")
    files = DatasetFiles(dataset_folder(inline.context, inline.context.store.require(dataset)))
    before = files.manifest

    def full(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(dataset_files.durable_files, "write_text", full)
        job = run_import(inline, dataset, write_events(tmp_path / "b.csv", 2000), "b")
    assert job["status"] == "CREATE FAILED"
    assert "no room left to write" in job["failureReason"]
    assert files.manifest == before
    assert files.read().num_rows == 1000


@pytest.mark.parametrize("path", ["file/home", "/proc/personalens-home", "/dev/null/home", "file"])
def test_a_home_that_cannot_be_made_is_named_with_the_way_out(tmp_path, path):
    (tmp_path / "file").write_text("not a folder")
    home = Home(tmp_path / path)
    provider = PersonalizeProvider(open_home(home, inline_jobs=True))
    for call in (
        lambda: provider.create_schema(name="films", schema=EVENTS_SCHEMA),
        provider.list_schemas,
    ):
        with pytest.raises(StorageError) as caught:
            call()
        assert caught.value.http_status == 507
        assert str(home.path) in str(caught.value)
        assert "set PERSONALENS_HOME to a folder that is" in str(caught.value)
    assert (tmp_path / "file").read_text() == "not a folder"


def test_a_home_that_turned_read_only_is_named_with_the_way_out(inline, home, monkeypatch):
    inline.create_dataset_group(name="films")
    inline.context.store.catalogue.close()
    connect = sqlite3.connect

    def connect_read_only(path: Path, **options):
        return connect(f"file:{path}?mode=ro", uri=True, **options)

    with monkeypatch.context() as patch:  # tests run as root, who may write everywhere
        patch.setattr(catalogue.sqlite3, "connect", connect_read_only)
        with pytest.raises(StorageError) as caught:
            inline.create_dataset_group(name="books")
        inline.context.store.catalogue.close()
    assert f"cannot use its catalogue {home.catalogue}" in str(caught.value)
    assert "Make its folder writable, or set PERSONALENS_HOME" in str(caught.value)
    names = [group["name"] for group in inline.list_dataset_groups()["datasetGroups"]]
    assert names == ["films"]


def test_a_home_deleted_under_a_worker_makes_it_leave_and_is_not_made_again(
    context, personalize, home, tmp_path
):
    dataset = make_dataset(personalize)
    arn = personalize.create_dataset_import_job(
        jobName="a",
        datasetArn=dataset,
        dataSource={"dataLocation": str(write_events(tmp_path / "a.csv", 1000))},
    )["datasetImportJobArn"]
    assert until(lambda: context.store.require(arn).status == "ACTIVE")
    present = workers(context)
    moved = home.path.rename(tmp_path / "moved")
    assert all(until(worker.is_gone) for worker in present)
    assert not home.path.exists()
    assert (moved / "catalogue.sqlite").exists()
