"""The batch jobs' operations: what is kept, listed and refused; S3 through a real server."""

from __future__ import annotations

import json

import boto3
import pytest
from moto.server import ThreadedMotoServer

from personalens.jobs.job_runner import run_jobs
from personalens.service_errors import (
    InvalidInputException,
    LimitExceededException,
    ResourceAlreadyExistsException,
    ResourceInUseException,
    ResourceNotFoundException,
)

ROLE = "arn:aws:iam::123456789012:role/personalize"
MISSING = "arn:aws:personalize:us-east-1:123456789012:solution/none/01234567"


@pytest.fixture
def ask(service, tmp_path):
    """Return a function that creates a batch job and describes it."""
    (tmp_path / "in.json").write_text('{"userId": "viewer-1"}\n')

    def ask(version, kind="inference", source=None, target=None, **options):
        request = {
            "jobName": "job",
            "solutionVersionArn": version,
            "jobInput": {"s3DataSource": {"path": source or str(tmp_path / "in.json")}},
            "jobOutput": {"s3DataDestination": {"path": target or f"{tmp_path}/out/"}},
            "roleArn": ROLE,
        } | options
        arn = getattr(service, f"create_batch_{kind}_job")(**request)
        (arn,) = arn.values()
        name = f"batch{kind.capitalize()}Job"
        return getattr(service, f"describe_batch_{kind}_job")(**{f"{name}Arn": arn})[name]

    return ask


@pytest.fixture(scope="module")
def s3_server():
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    yield "http://{}:{}".format(*server.get_host_and_port())
    server.stop()


@pytest.fixture
def s3(s3_server, monkeypatch, tmp_path):
    """A client of an S3 server with the bucket "films", and the environment that leads there."""
    for name in ("AWS_PROFILE", "AWS_DEFAULT_REGION", "AWS_REGION"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", s3_server)
    client = boto3.client("s3", region_name="us-east-1")
    client.create_bucket(Bucket="films")
    yield client
    client.close()


def test_what_was_asked_for_is_described_and_listed(service, train, ask):
    version = train()
    job = ask(version, numResults=3, tags=[{"tagKey": "a", "tagValue": "b"}])
    assert job["status"] == "ACTIVE"
    assert job["batchInferenceJobMode"] == "BATCH_INFERENCE"
    assert (job["numResults"], job["roleArn"]) == (3, ROLE)
    assert job["batchInferenceJobArn"].endswith(":batch-inference-job/job")
    listed = service.list_batch_inference_jobs(solutionVersionArn=version)["batchInferenceJobs"]
    assert [each["jobName"] for each in listed] == ["job"]
    assert listed[0]["batchInferenceJobMode"] == "BATCH_INFERENCE"
    assert service.list_batch_inference_jobs(solutionVersionArn=MISSING) == {
        "batchInferenceJobs": []
    }
    assert service.list_batch_segment_jobs() == {"batchSegmentJobs": []}
    tags = service.list_tags_for_resource(resourceArn=job["batchInferenceJobArn"])["tags"]
    assert tags == [{"tagKey": "a", "tagValue": "b"}]
    with pytest.raises(ResourceAlreadyExistsException):
        ask(version)


def test_input_and_output_in_s3(train, ask, s3):
    s3.put_object(Bucket="films", Key="in/users.json", Body=b'{"userId": "viewer-1"}\n{}\n')
    job = ask(train(), source="s3://films/in/users.json", target="s3://films/out/")
    assert job["status"] == "ACTIVE", job
    keys = [found["Key"] for found in s3.list_objects_v2(Bucket="films")["Contents"]]
    assert keys == ["in/users.json", "out/_CHECK", "out/users.json.out"]
    body = s3.get_object(Bucket="films", Key="out/users.json.out")["Body"].read()
    first, second = map(json.loads, body.splitlines())
    assert len(first["output"]["recommendedItems"]) == 25
    assert second["error"] == "userId is missing."


@pytest.mark.parametrize(
    ("places", "reason"),
    [
        ({"source": "s3://films/none.json"}, "there is no object none.json"),
        ({"source": "s3://nowhere/none.json"}, "no bucket nowhere"),
        ({"target": "s3://nowhere/out/"}, "nowhere"),
        ({"source": "/no/such/file.json"}, "No such file"),
    ],
)
def test_a_place_that_is_not_there_fails_the_job(train, ask, s3, places, reason):
    job = ask(train(), **places)
    assert job["status"] == "CREATE FAILED"
    assert job["failureReason"].startswith("The data location provided is invalid: ")
    assert reason in job["failureReason"]


def test_a_job_that_fails_leaves_no_output(train, ask, tmp_path):
    (tmp_path / "out").write_text("a file where a folder should be")
    assert ask(train())["status"] == "CREATE FAILED"
    assert sorted(path.name for path in tmp_path.glob("out*")) == ["out"]


def test_what_does_not_fit_is_refused_and_nothing_is_made(service, train, ask, films, tmp_path):
    popular, affinity = train(), train("aws-item-affinity")
    similar = train("aws-similar-items")
    named = {"fieldsForThemeGeneration": {"itemName": "TITLE"}}
    themed = {"batchInferenceJobMode": "THEME_GENERATION", "themeGenerationConfig": named}
    of_users = service.create_filter(
        name="f",
        datasetGroupArn=films.group,
        filterExpression='INCLUDE UserID WHERE Interactions.EVENT_TYPE IN ("watch")',
    )["filterArn"]
    home = service.home.path
    refusals = [
        ((popular, "segment"), {}, "call CreateBatchInferenceJob"),
        ((affinity, "inference"), {}, "call CreateBatchSegmentJob"),
        ((popular,), {"numResults": 0}, "allowed: 1 to 500"),
        ((popular,), {"numResults": 501}, "allowed: 1 to 500"),
        ((affinity, "segment"), {"numResults": 5_000_001}, "allowed: 1 to 5000000"),
        ((popular,), {"filterArn": of_users}, "takes one about ItemID"),
        ((popular,), {"source": "/a/b.json", "target": "/a/b.json"}, "must differ"),
        ((popular,), {"source": f"{tmp_path}/../b.json"}, "climbs with '..'"),
        ((popular,), {"target": f"{tmp_path}/x/../../"}, "climbs with '..'"),
        ((popular,), {"target": f"{home}/models/"}, "inside the home"),
        ((popular,), {"source": "https://x/y"}, "none of these forms"),
        ((popular,), {"target": "s3:///x/"}, "a bucket and a key"),
        ((popular,), {"batchInferenceJobMode": "OTHER"}, "enum value set"),
        ((popular,), {"batchInferenceJobMode": "THEME_GENERATION"}, "give themeGenerationConfig"),
        ((popular,), {"themeGenerationConfig": named}, "give themeGenerationConfig"),
        ((popular,), themed, "this version is of aws-popularity-count"),
        ((similar,), themed, "need an Items dataset with a textual field"),
        (
            (popular,),
            {"batchInferenceJobConfig": {"itemExplorationConfig": {"explorationWeight": "1"}}},
            "itemExplorationConfig does not apply",
        ),
        (
            (popular,),
            {"batchInferenceJobConfig": {"rankingInfluence": {"POPULARITY": 1.0}}},
            "rankingInfluence does not apply",
        ),
    ]
    for positional, options, reason in refusals:
        with pytest.raises(InvalidInputException) as caught:
            ask(*positional, **options)
        assert reason in str(caught.value)
    with pytest.raises(ResourceNotFoundException):
        ask(MISSING)
    assert service.list_batch_inference_jobs() == {"batchInferenceJobs": []}
    assert service.list_batch_segment_jobs() == {"batchSegmentJobs": []}


def test_a_filter_of_another_group_or_of_events_for_attributes_is_refused(service, train, ask):
    popular = train()
    group = service.create_dataset_group(name="other")["datasetGroupArn"]
    schema = service.list_schemas()["schemas"][0]["schemaArn"]
    service.create_dataset(
        name="o", schemaArn=schema, datasetGroupArn=group, datasetType="Interactions"
    )
    arn = service.create_filter(
        name="other",
        datasetGroupArn=group,
        filterExpression="EXCLUDE ItemID WHERE Interactions.EVENT_TYPE IN (*)",
    )["filterArn"]
    with pytest.raises(InvalidInputException, match="create the filter in that group"):
        ask(popular, filterArn=arn)


def test_a_filter_is_kept_while_a_job_uses_it_and_five_may_wait(
    service, films, train, ask, waiting, monkeypatch, tmp_path
):
    version = train()
    run_jobs(waiting)
    arn = service.create_filter(
        name="f",
        datasetGroupArn=films.group,
        filterExpression="EXCLUDE ItemID WHERE Interactions.EVENT_TYPE IN (*)",
    )["filterArn"]
    monkeypatch.setenv("PERSONALENS_QUOTAS", "aws")
    for number in range(5):
        asked = ask(version, target=f"{tmp_path}/{number}/", jobName=f"j{number}", filterArn=arn)
        assert asked["status"] == "CREATE PENDING"
    with pytest.raises(LimitExceededException):
        ask(version, jobName="sixth")
    with pytest.raises(ResourceInUseException):
        service.delete_filter(filterArn=arn)
    run_jobs(waiting)
    service.delete_filter(filterArn=arn)
    jobs = service.list_batch_inference_jobs()["batchInferenceJobs"]
    assert {job["status"] for job in jobs} == {"ACTIVE"}


def test_a_version_that_is_still_trained_is_in_use(train, ask, waiting):
    version = train()
    with pytest.raises(ResourceInUseException):
        ask(version)
