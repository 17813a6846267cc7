"""Where jobs may write, and that they write over nothing of others."""

from __future__ import annotations

import json

import pytest

from personalens.jobs.job_runner import run_jobs
from personalens.jobs.opening import open_home
from personalens.jobs.output_folders import OutputFolder, claim_outputs
from personalens.service_errors import InvalidInputException
from personalens.storage.object_storage import FOLDERS_VARIABLE, DataLocationError

ROLE = "arn:aws:iam::123456789012:role/personalize"


def open_folder(home, location, **options):
    return OutputFolder(str(location), region="us-east-1", home=home, **options)


def write(output, name, text):
    with output.writing(name) as file:
        file.write(text.encode())


@pytest.mark.parametrize("taken", ["file", "link", "broken link", "folder"])
def test_a_file_that_is_there_is_not_written_over(home, tmp_path, taken):
    target, other = tmp_path / "out/export.csv", tmp_path / "precious"
    target.parent.mkdir()
    other.write_text("precious")
    if taken == "file":
        target.write_text("precious")
    elif taken == "folder":
        target.mkdir()
    else:
        target.symlink_to(other if taken == "link" else tmp_path / "none")
    output = open_folder(home, target.parent)
    with pytest.raises(DataLocationError, match="has not made, and it is not written over"):
        output.claim(["export.csv"])
    with pytest.raises(DataLocationError, match="not written over"):
        write(output, "export.csv", "rows")
    assert other.read_text() == "precious"
    assert [path.name for path in target.parent.iterdir()] == ["export.csv"]
    assert taken != "file" or target.read_text() == "precious"


def test_an_empty_file_and_one_s_own_are_written_again(home, tmp_path):
    (tmp_path / "_CHECK").touch()
    output = open_folder(home, tmp_path)
    output.claim(["_CHECK", "a.out"])
    for text in ("first", "second"):
        write(output, "_CHECK", "")
        write(output, "a.out", text)
    assert (tmp_path / "a.out").read_text() == "second"


@pytest.fixture
def waiting(service, monkeypatch):
    """The service with jobs that nobody does yet."""
    monkeypatch.setattr("personalens.jobs.opening.ensure_worker", lambda *_: False)
    return open_home(service.home, inline_jobs=False)


def test_a_job_that_is_done_again_replaces_its_own_files_and_no_others(
    service, make_dataset, waiting, tmp_path
):
    """As after a crash between two files: the names were noted before the first was written."""
    dataset = make_dataset("Users")
    service.use(waiting)
    service.create_dataset_export_job(
        jobName="twice",
        datasetArn=dataset,
        roleArn=ROLE,
        jobOutput={"s3DataDestination": {"path": f"{tmp_path}/first/"}},
    )
    context, out, job = waiting, tmp_path / "out", waiting.jobs.claim()
    claim_outputs(context, job, open_folder(context.home, out), ["a.csv", "b.csv"])
    write(open_folder(context.home, out), "a.csv", "half of it")
    again = open_folder(context.home, out)
    claim_outputs(context, job, again, ["a.csv", "b.csv"])
    write(again, "a.csv", "all of it")
    assert (out / "a.csv").read_text() == "all of it"
    (out / "c.csv").write_text("precious")
    with pytest.raises(DataLocationError, match=r"c\.csv"):
        claim_outputs(context, job, open_folder(context.home, out), ["a.csv", "c.csv"])


def test_a_second_job_of_one_name_and_folder_fails_and_says_what_to_do(
    service, make_dataset, tmp_path
):
    dataset = make_dataset("Users")
    (tmp_path / "out").mkdir()
    (tmp_path / "out/people.csv").write_text("precious")
    described = service.describe_dataset_export_job(
        datasetExportJobArn=service.create_dataset_export_job(
            jobName="people",
            datasetArn=dataset,
            roleArn=ROLE,
            jobOutput={"s3DataDestination": {"path": f"{tmp_path}/out/"}},
        )["datasetExportJobArn"]
    )["datasetExportJob"]
    assert described["status"] == "CREATE FAILED"
    assert "Give another folder, or remove the file." in described["failureReason"]
    assert (tmp_path / "out/people.csv").read_text() == "precious"


def test_beyond_the_allowed_folders_nothing_is_written(home, tmp_path, monkeypatch):
    allowed = tmp_path / "allowed"
    allowed.mkdir()
    (allowed / "down").symlink_to(tmp_path)
    monkeypatch.setenv(FOLDERS_VARIABLE, json.dumps([str(allowed)]))
    for location in (tmp_path / "out", allowed / "down/out", f"{allowed.as_uri()}/%2e%2e/out"):
        with pytest.raises(DataLocationError):
            open_folder(home, location)
    output = open_folder(home, allowed / "out")
    write(output, "a.csv", "rows")
    assert (allowed / "out/a.csv").read_text() == "rows"
    (allowed / "out/a.csv").unlink()
    (allowed / "out").rmdir()
    (allowed / "out").symlink_to(tmp_path / "elsewhere")  # after it was opened
    with pytest.raises(DataLocationError, match="--allow-folder"):
        write(output, "a.csv", "rows")
    assert not (tmp_path / "elsewhere").exists()


REQUESTS = {
    "create_dataset_import_job": {"dataSource": {"dataLocation": "{place}"}},
    "create_dataset_export_job": {"jobOutput": {"s3DataDestination": {"path": "{place}"}}},
    "create_data_deletion_job": {"dataSource": {"dataLocation": "{place}"}},
    "create_metric_attribution": {
        "metricsOutputConfig": {"s3DataDestination": {"path": "{place}"}, "roleArn": ROLE}
    },
    "create_batch_inference_job": {
        "jobInput": {"s3DataSource": {"path": "{place}"}},
        "jobOutput": {"s3DataDestination": {"path": "s3://films/out/"}},
    },
    "create_batch_segment_job": {
        "jobInput": {"s3DataSource": {"path": "s3://films/in.json"}},
        "jobOutput": {"s3DataDestination": {"path": "{place}"}},
    },
}


@pytest.mark.parametrize("operation", REQUESTS)
def test_every_operation_with_a_location_refuses_one_beyond(
    service, films, train, operation, tmp_path, monkeypatch
):
    whose = {
        "jobName": "job",
        "roleArn": ROLE,
        "datasetArn": films.dataset,
        "datasetGroupArn": films.group,
        "solutionVersionArn": train() if "batch" in operation else None,
        "name": "metrics",
        "metrics": [{"metricName": "n", "eventType": "watch", "expression": "SAMPLECOUNT()"}],
    }
    members = service._operations[operation].model.input_shape.required_members
    text = json.dumps(REQUESTS[operation]).replace("{place}", f"{tmp_path}/films-1.csv")
    request = {name: whose[name] for name in members if name in whose} | json.loads(text)
    monkeypatch.setenv(FOLDERS_VARIABLE, "[]")
    with pytest.raises(InvalidInputException, match="--allow-folder"):
        getattr(service, operation)(**request)


def test_a_job_keeps_to_the_folders_of_its_request_whoever_does_it(
    service, films, waiting, tmp_path, monkeypatch
):
    """A worker that a notebook has started, without a rule, does a server's job; and a server's
    worker does a job that was written before there was a rule."""
    allowed = tmp_path / "allowed"
    allowed.mkdir()
    films.frame.to_csv(allowed / "rows.csv", index=False)
    films.frame.to_csv(tmp_path / "secret.csv", index=False)
    inline = service.context
    service.use(waiting)

    def ask(name, place):
        return service.create_dataset_import_job(
            jobName=name,
            datasetArn=films.dataset,
            dataSource={"dataLocation": str(place)},
            roleArn=ROLE,
        )["datasetImportJobArn"]

    before = ask("before", tmp_path / "secret.csv")
    monkeypatch.setenv(FOLDERS_VARIABLE, json.dumps([str(allowed)]))
    run_jobs(inline)
    ruled = ask("ruled", allowed / "rows.csv")
    monkeypatch.delenv(FOLDERS_VARIABLE)
    (allowed / "rows.csv").unlink()
    (allowed / "rows.csv").symlink_to(tmp_path / "secret.csv")
    run_jobs(inline)
    for arn in (before, ruled):
        job = service.describe_dataset_import_job(datasetImportJobArn=arn)["datasetImportJob"]
        assert job["status"] == "CREATE FAILED"
        assert "--allow-folder" in job["failureReason"]
        assert not any(key.startswith("_") for key in job)
