"""One call puts a file where the service reads it: here, or in a bucket."""

from __future__ import annotations

import boto3
import pytest
from moto import mock_aws

from personalens.activation import activate
from personalens.notebook.lab_data import BUCKET_VARIABLE, stage
from personalens.notebook.progress import is_local


@pytest.fixture
def csv(tmp_path):
    path = tmp_path / "films.csv"
    path.write_text("ITEM_ID,YEAR\nf1,1999\n")
    return path


@pytest.fixture
def bucket(monkeypatch):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    with mock_aws():
        boto3.client("s3").create_bucket(Bucket="lens-bucket")
        yield "lens-bucket"


def test_a_file_stays_where_it_is(home, csv):
    with activate(home, quiet=True):
        assert stage(csv) == csv.as_uri()


def test_a_folders_location_ends_in_a_slash(home, csv):
    with activate(home, quiet=True):
        assert stage(csv.parent) == csv.parent.as_uri() + "/"


def test_a_bucket_gets_an_upload(home, csv, bucket, monkeypatch):
    monkeypatch.setenv(BUCKET_VARIABLE, bucket)
    assert stage(csv) == "s3://lens-bucket/personalens/films.csv"
    body = boto3.client("s3").get_object(Bucket=bucket, Key="personalens/films.csv")["Body"]
    assert body.read() == csv.read_bytes()


def test_a_folder_is_uploaded_file_by_file(home, csv, bucket):
    (csv.parent / "more.csv").write_text("ITEM_ID,YEAR\n")
    (csv.parent / "notes.txt").write_text("not data")
    location = stage(csv.parent, bucket=bucket)
    assert location == f"s3://lens-bucket/personalens/{csv.parent.name}/"
    listed = boto3.client("s3").list_objects_v2(Bucket=bucket)["Contents"]
    assert {entry["Key"].rsplit("/")[-1] for entry in listed} == {"films.csv", "more.csv"}


def test_a_missing_file_is_named(home, tmp_path):
    with activate(home, quiet=True), pytest.raises(FileNotFoundError, match=r"nothing\.csv"):
        stage(tmp_path / "nothing.csv")


def test_on_aws_without_a_bucket_the_error_says_what_to_set(home, csv, monkeypatch):
    monkeypatch.delenv("AWS_ENDPOINT_URL_PERSONALIZE", raising=False)
    with pytest.raises(RuntimeError, match="PERSONALENS_BUCKET"):
        stage(csv)


def test_a_server_on_this_machine_is_local(home, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL_PERSONALIZE", "http://127.0.0.1:8700")
    assert is_local()
    monkeypatch.setenv("AWS_ENDPOINT_URL_PERSONALIZE", "https://personalize.example.com")
    assert not is_local()
