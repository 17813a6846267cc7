"""CreateDatasetImportJob, DescribeDatasetImportJob, ListDatasetImportJobs, and the job itself."""

from __future__ import annotations

import json
import threading

import pytest

from personalens.control.operations import dataset_jobs
from personalens.control.work import transfer_rows
from personalens.datasets.dataset_files import DatasetFiles
from personalens.jobs.job_runner import run_jobs
from personalens.jobs.opening import open_home
from personalens.service_errors import InvalidInputException, ResourceInUseException
from personalens.storage.datasets import dataset_folder
from personalens.storage.job_queue import ProcessIdentity
from personalens.storage.service_context import ServiceContext

ROLE = "arn:aws:iam::123456789012:role/personalize"
GONE = ProcessIdentity(ProcessIdentity.of_self().host, 2**22 + 1, None)


@pytest.fixture
def dataset(make_dataset) -> str:
    return make_dataset()


@pytest.fixture
def run_import(service):
    """Return a function that imports a location and gives the described job."""

    def run(dataset: str, location, name: str = "job", **arguments) -> dict:
        arn = service.create_dataset_import_job(
            jobName=name,
            datasetArn=dataset,
            dataSource={"dataLocation": str(location)},
            **arguments,
        )["datasetImportJobArn"]
        return service.describe_dataset_import_job(datasetImportJobArn=arn)["datasetImportJob"]

    return run


def files_of(service, arn: str) -> DatasetFiles:
    return DatasetFiles(dataset_folder(service.context, service.context.store.require(arn)))


def test_an_import_becomes_active_and_the_rows_are_there(
    service, dataset, write_events, run_import
):
    path = write_events()
    job = run_import(dataset, path, roleArn=ROLE)
    assert job.pop("lastUpdatedDateTime") >= job.pop("creationDateTime")
    assert job == {
        "jobName": "job",
        "datasetImportJobArn": "arn:aws:personalize:us-east-1:123456789012:dataset-import-job/job",
        "datasetArn": dataset,
        "dataSource": {"dataLocation": str(path)},
        "roleArn": ROLE,
        "status": "ACTIVE",
        "importMode": "FULL",
        "publishAttributionMetricsToS3": False,
    }
    table = files_of(service, dataset).read()
    assert table.num_rows == 1000
    assert table.slice(0, 1).to_pylist() == [
        {"USER_ID": "u0", "ITEM_ID": "i0", "TIMESTAMP": 1_600_000_000}
    ]


def test_progress_ends_with_all_rows(service, dataset, write_events, run_import):
    arn = run_import(dataset, write_events(1234))["datasetImportJobArn"]
    progress = service.context.jobs.progress(arn)
    assert (progress["state"], progress["rows"], progress["total_rows"]) == ("DONE", 1234, 1234)
    assert progress["fraction"] == 1.0


def test_full_replaces_and_incremental_adds(service, dataset, write_events, run_import):
    run_import(dataset, write_events(1500), "a")
    assert files_of(service, dataset).row_count == 1500
    run_import(dataset, write_events(1000), "b")
    assert files_of(service, dataset).row_count == 1000
    job = run_import(dataset, write_events(1100, first=5000), "c", importMode="INCREMENTAL")
    assert (job["status"], job["importMode"]) == ("ACTIVE", "INCREMENTAL")
    assert files_of(service, dataset).row_count == 2100


def test_incremental_needs_a_full_import_first(service, dataset, write_events, run_import):
    with pytest.raises(InvalidInputException, match="importMode='FULL' first"):
        run_import(dataset, write_events(), importMode="INCREMENTAL")
    run_import(dataset, "/nowhere.csv", "failed")
    with pytest.raises(InvalidInputException, match="importMode='FULL' first"):
        run_import(dataset, write_events(), importMode="INCREMENTAL")
    assert len(service.list_dataset_import_jobs()["datasetImportJobs"]) == 1


@pytest.mark.parametrize(
    ("location", "reason"),
    [
        ("missing.csv", "The data location provided is invalid: .*missing.csv: No such file"),
        ("empty/", "The data location provided is invalid: .*empty/: the folder holds no CSV"),
        ("broken.csv", 'broken.csv, line 3, column TIMESTAMP, value "soon"'),
        ("columns.csv", r"Input CSV is missing the following columns: \[TIMESTAMP\]"),
        ("few.csv", "at least 1,000"),
    ],
)
def test_a_failed_import_says_why_and_leaves_the_data(
    service, dataset, write_events, run_import, tmp_path, location, reason
):
    run_import(dataset, write_events(1200, "good.csv"), "good")
    before = files_of(service, dataset).manifest
    (tmp_path / "empty").mkdir()
    few = write_events(3, "few.csv").read_text()
    (tmp_path / "columns.csv").write_text(few.replace("TIMESTAMP", "TIME"))
    (tmp_path / "broken.csv").write_text(few.replace("1600000001", "soon"))
    job = run_import(dataset, f"{tmp_path}/{location}", "bad")
    assert job["status"] == "CREATE FAILED"
    with pytest.raises(RuntimeError, match=reason):
        raise RuntimeError(job["failureReason"])
    assert files_of(service, dataset).manifest == before
    summaries = service.list_dataset_import_jobs(datasetArn=dataset)["datasetImportJobs"]
    assert [s["status"] for s in summaries] == ["ACTIVE", "CREATE FAILED"]
    assert summaries[1]["failureReason"] == job["failureReason"]
    folder = files_of(service, dataset).folder
    assert [path.name for path in folder.iterdir() if path.name.startswith(".staging")] == []


def test_a_folder_of_files_is_one_import(service, dataset, write_events, run_import, tmp_path):
    write_events(600, "many/a.csv")
    write_events(700, "many/b.csv", first=600)
    job = run_import(dataset, f"{tmp_path}/many/")
    assert job["status"] == "ACTIVE"
    assert files_of(service, dataset).row_count == 1300


def waiting(service, dataset: str, location, *names: str) -> ServiceContext:
    """Create import jobs that nobody runs yet, and return the context that will run them."""
    context = open_home(service.home, inline_jobs=True)
    context.jobs.wake = lambda: None
    operations = dataset_jobs.ImportJobOperations(context)
    for name in names:
        mode = "FULL" if name == names[0] else "INCREMENTAL"
        operations.create_dataset_import_job(
            jobName=name,
            datasetArn=dataset,
            dataSource={"dataLocation": str(location)},
            importMode=mode,
        )
    return context


@pytest.mark.usefixtures("quick_deletions")
def test_a_pending_import_keeps_the_dataset(service, dataset, write_events):
    context = waiting(service, dataset, write_events(), "a")
    with pytest.raises(ResourceInUseException, match="dataset-import-job/a"):
        service.delete_dataset(datasetArn=dataset)
    run_jobs(context)
    service.delete_dataset(datasetArn=dataset)
    assert service.list_datasets() == {"datasets": []}


def test_imports_of_one_dataset_run_one_after_another_in_order(service, dataset, write_events):
    context = waiting(service, dataset, write_events(), "a", "b", "c")
    threads = [threading.Thread(target=run_jobs, args=[context]) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    run_jobs(context)  # a thread that found the lane taken has left
    assert files_of(service, dataset).row_count == 3000
    jobs = service.list_dataset_import_jobs()["datasetImportJobs"]
    assert [job["status"] for job in jobs] == ["ACTIVE"] * 3


def test_a_crash_between_the_rows_and_the_status_adds_nothing_twice(
    service, dataset, write_events, monkeypatch
):
    context = waiting(service, dataset, write_events(), "a", "b")
    put_in_place = transfer_rows._put_in_place

    def crash_after(*arguments) -> None:
        put_in_place(*arguments)
        raise KeyboardInterrupt  # as near to kill -9 as one process can come to itself

    assert context.jobs.claim().attempt == 1  # the FULL one: this process dies without a word ...
    with context.store.transaction() as tx:
        tx.connection.execute("UPDATE jobs SET holder = ? WHERE id = 1", (GONE.to_json(),))
    with monkeypatch.context() as patch:
        patch.setattr(transfer_rows, "_put_in_place", crash_after)
        for _ in range(2):
            with pytest.raises(KeyboardInterrupt):
                run_jobs(context)
    run_jobs(context)
    assert files_of(service, dataset).row_count == 2000
    assert [part.name for part in files_of(service, dataset).manifest.parts] == ["a", "b"]


def test_values_taken_as_missing_are_told_by_the_progress_and_live_on(
    service, run_import, tmp_path, avro
):
    required = {"name": "YEAR", "type": "int"}
    record = json.loads(avro("Items"))
    schema = json.dumps({**record, "fields": [*record["fields"], required]})
    group = service.create_dataset_group(name="gaps")["datasetGroupArn"]
    dataset = service.create_dataset(
        name="gaps",
        schemaArn=service.create_schema(name="gaps", schema=schema)["schemaArn"],
        datasetGroupArn=group,
        datasetType="Items",
    )["datasetArn"]
    path = tmp_path / "gaps.csv"
    path.write_text("ITEM_ID,GENRES,YEAR\na,War,1990\nb,,\nc,War,soon\n")
    job = run_import(dataset, path)
    assert job["status"] == "ACTIVE"
    assert "missing_values" not in job
    progress = service.context.jobs.progress(job["datasetImportJobArn"])
    assert progress["missing_values"] == {"YEAR": 2}
    run_import(dataset, path, "again", importMode="INCREMENTAL")
    rows = files_of(service, dataset).read().to_pylist()
    assert [(row["ITEM_ID"], row["YEAR"]) for row in rows] == [
        ("a", 1990),
        ("b", None),
        ("c", None),
    ]


@pytest.mark.parametrize(
    "secret",
    [
        "hunter2-first-line,x\nsecond\n",
        "PATH=/hunter2\0HOME=/root\0",
        "hunter2,hunter2\n1,2\n",
        '"hunter2\n',
        "hunter2;USER_ID;ITEM_ID\n",
        "USER_ID,hunter2,ITEM_ID\n",
        "-----BEGIN PRIVATE KEY-----\nhunter2\n",
        "hunter2" * 30_000,
        '"' + "hunter2" * 30_000 + '"',
    ],
)
def test_the_reason_repeats_nothing_of_a_file_that_is_no_csv_of_the_schema(
    service, make_dataset, tmp_path, secret
):
    file = tmp_path / "key.pem"
    file.write_text(secret)
    job = service.create_dataset_import_job(
        jobName="any",
        datasetArn=make_dataset("Interactions"),
        dataSource={"dataLocation": str(file)},
        roleArn="arn:aws:iam::123456789012:role/personalize",
    )["datasetImportJobArn"]
    described = service.describe_dataset_import_job(datasetImportJobArn=job)["datasetImportJob"]
    assert described["status"] == "CREATE FAILED"
    reason = described["failureReason"]
    assert not any(word in reason for word in ("hunter2", "PATH", "BEGIN", "Internal"))
    assert "key.pem" in reason
