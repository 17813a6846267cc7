"""Jobs read from and write to S3, over HTTP with boto3; moto's server is the S3."""

from __future__ import annotations

import json
from collections.abc import Iterator

import boto3
import pytest

from personalens.aws.stand_ins import aws_stand_ins
from tests.contract.account import ROLE, Account

KEYS = {"aws_access_key_id": "any", "aws_secret_access_key": "any", "region_name": "us-east-1"}


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator:
    """An empty bucket."""
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    with aws_stand_ins() as url:
        yield boto3.resource("s3", endpoint_url=url, **KEYS).create_bucket(Bucket="films")


def test_jobs_read_from_and_write_to_buckets(bucket, server, account: Account):
    personalize = boto3.client("personalize", endpoint_url=server.url, **KEYS)
    bucket.put_object(Key="in/users.csv", Body=b"USER_ID,AGE\nnew-1,31\nnew-2,\n")
    job = personalize.create_dataset_import_job(
        jobName="from-s3",
        datasetArn=account.films_users,
        dataSource={"dataLocation": "s3://films/in/"},
        roleArn=ROLE,
    )["datasetImportJobArn"]
    imported = personalize.describe_dataset_import_job(datasetImportJobArn=job)
    assert imported["datasetImportJob"]["status"] == "ACTIVE", imported

    output = {"s3DataDestination": {"path": "s3://films/out/"}}
    job = personalize.create_dataset_export_job(
        jobName="to-s3",
        datasetArn=account.films_users,
        roleArn=ROLE,
        jobOutput=output,
        ingestionMode="BULK",
    )["datasetExportJobArn"]
    exported = personalize.describe_dataset_export_job(datasetExportJobArn=job)
    assert exported["datasetExportJob"]["status"] == "ACTIVE", exported
    written = [each for each in bucket.objects.filter(Prefix="out/") if each.key.endswith(".csv")]
    text = "".join(each.get()["Body"].read().decode() for each in written)
    assert {"new-1,31", "new-2,"} <= set(text.replace('"', "").split())

    bucket.put_object(Key="in/users.jsonl", Body=b'{"userId": "viewer-1"}\n{"userId": "nobody"}\n')
    job = personalize.create_batch_inference_job(
        jobName="mailing",
        solutionVersionArn=account.tastes_version,
        jobInput={"s3DataSource": {"path": "s3://films/in/users.jsonl"}},
        jobOutput=output,
        roleArn=ROLE,
        numResults=5,
    )["batchInferenceJobArn"]
    done = personalize.describe_batch_inference_job(batchInferenceJobArn=job)
    assert done["batchInferenceJob"]["status"] == "ACTIVE", done
    lines = bucket.Object("out/users.jsonl.out").get()["Body"].read().decode().splitlines()
    answers = [json.loads(line) for line in lines]
    assert [answer["input"]["userId"] for answer in answers] == ["viewer-1", "nobody"]
    assert [len(answer["output"]["recommendedItems"]) for answer in answers] == [5, 5]
    assert "out/_CHECK" in [each.key for each in bucket.objects.all()]
