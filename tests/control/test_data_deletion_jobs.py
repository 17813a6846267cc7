"""Data deletion: users leave the datasets, the log and the models; who stays does not notice."""

from __future__ import annotations

import errno
import json

import numpy as np
import pandas as pd
import pytest

from personalens.jobs.job_runner import run_jobs
from personalens.service_errors import InvalidInputException, LimitExceededException
from personalens.storage.dataset_rows import DatasetRows
from personalens.storage.model_folders import load_model, version_folder
from tests.dataset_tables import schema_of

ROLE = "arn:aws:iam::123456789012:role/personalize"
GONE = ["viewer-3", "viewer-7"]


@pytest.fixture
def delete(service, films, tmp_path):
    """Return a function that deletes users: the job as it is described."""

    def delete(users=GONE, name="deletion", text=None):
        path = tmp_path / f"{name}.csv"
        path.write_text("USER_ID\n" + "".join(f"{u}\n" for u in users) if text is None else text)
        arn = service.create_data_deletion_job(
            jobName=name,
            datasetGroupArn=films.group,
            dataSource={"dataLocation": str(path)},
            roleArn=ROLE,
        )["dataDeletionJobArn"]
        return service.describe_data_deletion_job(dataDeletionJobArn=arn)["dataDeletionJob"]

    return delete


@pytest.fixture
def users_dataset(service, films, tmp_path):
    schema = schema_of(
        "Users", [{"name": "USER_ID", "type": "string"}, {"name": "AGE", "type": "int"}]
    )
    schema_arn = service.create_schema(name="users", schema=json.dumps(schema))["schemaArn"]
    dataset = service.create_dataset(
        name="users", schemaArn=schema_arn, datasetGroupArn=films.group, datasetType="Users"
    )["datasetArn"]
    path = tmp_path / "users.csv"
    pd.DataFrame({"USER_ID": [f"viewer-{n}" for n in range(60)], "AGE": range(60)}).to_csv(
        path, index=False
    )
    service.create_dataset_import_job(
        jobName="users", datasetArn=dataset, dataSource={"dataLocation": str(path)}, roleArn=ROLE
    )
    return dataset


def rows(service, dataset):
    return DatasetRows(service.context, service.context.store.require(dataset)).read().to_pandas()


def listed(service, campaign, user):
    answer = service.get_recommendations(campaignArn=campaign, userId=user)
    return [(item["itemId"], item.get("score")) for item in answer["itemList"]]


def test_rows_of_all_datasets_go_and_are_counted(service, films, users_dataset, delete):
    before = rows(service, films.dataset)
    service.put_users(
        datasetArn=users_dataset,
        users=[
            {"userId": "viewer-3", "properties": '{"age": 33}'},
            {"userId": "someone-new", "properties": '{"age": 34}'},
        ],
    )
    job = delete()
    assert job["status"] == "COMPLETED", job
    assert job["numDeleted"] == 2 * 25 + 2 + 1  # interactions, imported users, a put user
    after = rows(service, films.dataset)
    expected = before[~before.USER_ID.isin(GONE)].reset_index(drop=True)
    pd.testing.assert_frame_equal(after, expected)
    ids = rows(service, users_dataset).USER_ID.tolist()
    assert set(ids) == {f"viewer-{n}" for n in range(60)} - set(GONE) | {"someone-new"}
    assert delete(name="again")["numDeleted"] == 0


def test_put_events_go_with_their_users(service, films, delete):
    tracker = service.create_event_tracker(name="clicks", datasetGroupArn=films.group)
    for user in ("viewer-3", "viewer-4"):
        service.put_events(
            trackingId=tracker["trackingId"],
            sessionId=f"session-of-{user}",
            userId=user,
            eventList=[
                {"eventType": "watch", "itemId": "film-1", "sentAt": 1_700_000_000},
                {"eventType": "watch", "itemId": "film-2", "sentAt": 1_700_000_001},
            ],
        )
    assert delete()["numDeleted"] == 2 * 25 + 2
    events = rows(service, films.dataset)
    assert set(events[events.TIMESTAMP >= 1_700_000_000].USER_ID) == {"viewer-4"}


def test_a_campaign_answers_a_deleted_user_as_one_it_never_knew(
    service, taste_recipes, deploy, delete
):
    campaign = deploy("test-taste")
    stranger, other = listed(service, campaign, "never-seen"), listed(service, campaign, "viewer-4")
    assert listed(service, campaign, "viewer-3") != stranger
    assert delete()["status"] == "COMPLETED"
    for user in GONE:
        assert listed(service, campaign, user) == stranger
    assert listed(service, campaign, "viewer-4") == other


def test_nothing_of_a_deleted_user_is_left_in_the_home(service, deploy, delete):
    deploy("aws-popularity-count")
    version = version_of(service, deploy("aws-item-affinity"))
    assert files_that_name("viewer-7", service.home)
    delete()
    assert files_that_name("viewer-7", service.home) == []
    model = load_model(version_folder(service.home, version))
    counts = np.diff(model.interactions_.offsets)
    assert (counts == 0).sum() == 2
    assert not model.user_vectors_[counts == 0].any()


def files_that_name(user, home):
    """Return the models' and datasets' files with this user in them; Parquet as text."""
    files = [*home.models.rglob("*"), *home.datasets.rglob("*")]
    return [path for path in files if path.is_file() and user in text_of(path)]


def text_of(path):
    is_parquet = path.suffix == ".parquet"
    return pd.read_parquet(path).to_csv() if is_parquet else path.read_bytes().decode("latin-1")


def version_of(service, campaign):
    described = service.describe_campaign(campaignArn=campaign)["campaign"]
    return described["solutionVersionArn"]


def test_a_deleted_user_is_in_no_segment(service, deploy, delete, tmp_path):
    version = version_of(service, deploy("aws-item-affinity"))
    (tmp_path / "in.json").write_text('{"itemId": "film-1"}\n')

    def segment(name):
        service.create_batch_segment_job(
            jobName=name,
            solutionVersionArn=version,
            jobInput={"s3DataSource": {"path": str(tmp_path / "in.json")}},
            jobOutput={"s3DataDestination": {"path": f"{tmp_path}/{name}/"}},
            numResults=60,
            roleArn=ROLE,
        )
        return json.loads((tmp_path / name / "in.json.out").read_text())["output"]["usersList"]

    before = segment("before")
    delete()
    assert segment("after") == [user for user in before if user not in GONE]


def test_who_is_imported_again_is_known_to_the_next_version_only(service, films, deploy, delete):
    old = deploy("aws-item-affinity", name="old")
    delete()
    films.import_again(films.frame)  # FULL
    assert set(GONE) <= set(rows(service, films.dataset).USER_ID)
    new = deploy("aws-item-affinity", name="new")
    knows = {}
    for name, campaign in (("old", old), ("new", new)):
        model = load_model(version_folder(service.home, version_of(service, campaign)))
        knows[name] = [len(model.history(user)) for user in GONE]
    assert knows == {"old": [0, 0], "new": [25, 25]}


def test_a_job_that_died_half_way_is_done_again_and_counts_all(
    service, films, deploy, delete, monkeypatch
):
    from personalens.control.work import delete_users

    deploy("aws-item-affinity")
    real, calls = delete_users.replace_memory, []

    def die_once(folder, model):
        calls.append(folder)
        if len(calls) == 1:
            raise KeyboardInterrupt  # gives the job back
        real(folder, model)

    monkeypatch.setattr(delete_users, "replace_memory", die_once)
    with pytest.raises(KeyboardInterrupt):
        delete()
    run_jobs(service.context)
    (job,) = service.list_data_deletion_jobs(datasetGroupArn=films.group)["dataDeletionJobs"]
    assert job["status"] == "COMPLETED"
    described = service.describe_data_deletion_job(dataDeletionJobArn=job["dataDeletionJobArn"])
    assert described["dataDeletionJob"]["numDeleted"] == 50


def test_what_was_put_is_counted_also_when_the_job_dies_at_its_end(
    service, films, users_dataset, delete, monkeypatch
):
    new = {"userId": "viewer-3", "properties": '{"age": 33}'}
    service.put_users(datasetArn=users_dataset, users=[new])
    log, remove, calls = service.context.events, service.context.events.delete_users, []

    def die_afterwards(*arguments):
        calls.append(remove(*arguments))
        if len(calls) == 1:
            raise KeyboardInterrupt  # gives the job back

    monkeypatch.setattr(log, "delete_users", die_afterwards)
    with pytest.raises(KeyboardInterrupt):
        delete()
    run_jobs(service.context)
    (job,) = service.list_data_deletion_jobs(datasetGroupArn=films.group)["dataDeletionJobs"]
    described = service.describe_data_deletion_job(dataDeletionJobArn=job["dataDeletionJobArn"])
    assert calls == [1, 0]
    assert described["dataDeletionJob"]["numDeleted"] == 2 * 25 + 2 + 1


def test_a_deletion_that_fails_half_way_says_that_it_removes_piece_by_piece(
    service, films, delete, monkeypatch
):
    def fail(*arguments):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(service.context.events, "delete_users", fail)
    job = delete()
    assert job["status"] == "FAILED"
    assert "Some of the users' data may be gone already" in job["failureReason"]
    monkeypatch.undo()
    assert delete(name="again")["status"] == "COMPLETED"
    assert not rows(service, films.dataset).USER_ID.isin(GONE).any()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("ITEM_ID\nfilm-1\n", "missing the following columns: [USER_ID]"),
        ("USER_ID,AGE\nviewer-1,3\n", "only USER_ID may be"),
        ("USER_ID\n", "names no user"),
        ("", "deletion.csv is empty; the first line must be the header"),
        ("USER_ID\nviewer-1,3\n", "line 2: the record has 2 values, the header 1"),
        ('USER_ID\nviewer-2\n"viewer-1\n', "line 3: a quote is not closed"),
        ("hunter2,hunter3\n", "columns: [USER_ID]."),
    ],
)
def test_a_file_that_is_no_list_of_users_fails_the_job(service, films, delete, text, reason):
    before = rows(service, films.dataset)
    job = delete(text=text)
    assert job["status"] == "FAILED"
    assert reason in job["failureReason"]
    assert "numDeleted" not in job
    pd.testing.assert_frame_equal(rows(service, films.dataset), before)


def test_ids_are_read_as_an_import_reads_them(service, delete):
    text = '\ufeffuser_id\r\n"viewer-3"\r\n\r\nviewer-7\r\nviewer-3\r\n"two\r\nlines"\r\n'
    job = delete(text=text)
    assert (job["status"], job["numDeleted"]) == ("COMPLETED", 50)


def test_what_cannot_be_is_refused_and_the_wait_is_pending(
    service, films, delete, waiting, monkeypatch
):
    for location in ("s3:x", "/a/../b.csv"):
        with pytest.raises(InvalidInputException):
            service.create_data_deletion_job(
                jobName="x",
                datasetGroupArn=films.group,
                dataSource={"dataLocation": location},
                roleArn=ROLE,
            )
    monkeypatch.setenv("PERSONALENS_QUOTAS", "aws")
    for number in range(5):
        assert delete(name=f"d{number}")["status"] == "PENDING"
    with pytest.raises(LimitExceededException):
        delete(name="sixth")
    run_jobs(waiting)
    jobs = service.list_data_deletion_jobs()["dataDeletionJobs"]
    assert [job["status"] for job in jobs] == ["COMPLETED"] * 5
