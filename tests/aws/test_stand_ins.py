"""moto's server beside ours: what samples call is answered, and no foreign web page gets in."""

from __future__ import annotations

import http.client
import json
import os
from urllib.parse import urlsplit

import boto3
import pytest

from personalens.aws.stand_ins import SERVICES, aws_stand_ins

KEYS = {"aws_access_key_id": "a", "aws_secret_access_key": "b", "region_name": "us-east-1"}
FOREIGN, ADMITTED = "https://evil.example", "https://shop.example"
PRESIGNED = "/lake/users.csv?AWSAccessKeyId=x&Signature=y&Expires=9999999999"


@pytest.fixture(scope="module")
def url():
    with aws_stand_ins([ADMITTED]) as url:
        yield url


@pytest.fixture(scope="module")
def client(url):
    return boto3.client("s3", endpoint_url=url, **KEYS)


@pytest.fixture
def s3(client, allow_loopback):
    """A client, and a bucket with one object."""
    client.create_bucket(Bucket="lake")
    client.put_object(Bucket="lake", Key="users.csv", Body=b"USER_ID\nalice\n")
    return client


def ask(url, method, path, **headers):
    """Return status, headers and body of one request, with these headers and no others."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=30)
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.putrequest(method, path, skip_host="Host" in headers)
    for name, value in headers.items():
        connection.putheader(name, value)
    connection.putheader("Content-Length", "0")
    connection.endheaders()
    response = connection.getresponse()
    return response.status, {k.lower(): v for k, v in response.getheaders()}, response.read()


def test_a_role_takes_the_managed_policies_that_samples_attach(url, allow_loopback):
    iam = boto3.client("iam", endpoint_url=url, **KEYS)
    iam.create_role(RoleName="r", AssumeRolePolicyDocument="{}")
    names = ["service-role/AmazonPersonalizeFullAccess", "AmazonS3FullAccess"]
    for name in names:
        iam.attach_role_policy(RoleName="r", PolicyArn=f"arn:aws:iam::aws:policy/{name}")
    attached = iam.list_attached_role_policies(RoleName="r")["AttachedPolicies"]
    assert {p["PolicyName"] for p in attached} == {n.rpartition("/")[2] for n in names}


def test_parameters_and_keys_are_answered(url, allow_loopback):
    ssm = boto3.client("ssm", endpoint_url=url, **KEYS)
    ssm.put_parameter(Name="bucket", Value="lake", Type="String")
    assert ssm.get_parameter(Name="bucket")["Parameter"]["Value"] == "lake"
    key = boto3.client("kms", endpoint_url=url, **KEYS).create_key()["KeyMetadata"]
    assert key["Arn"].startswith("arn:aws:kms:us-east-1:123456789012:key/")


def test_this_process_is_pointed_there_and_back(monkeypatch, allow_loopback):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "mine")
    monkeypatch.delenv("MOTO_IAM_LOAD_MANAGED_POLICIES", raising=False)
    before = dict(os.environ)
    with aws_stand_ins() as url:
        assert {os.environ[f"AWS_ENDPOINT_URL_{service}"] for service in SERVICES} == {url}
        assert os.environ["AWS_ACCESS_KEY_ID"] == "mine"
    assert dict(os.environ) == before


FOREIGN_PAGES = [
    {"Origin": FOREIGN},
    {"Origin": "null"},
    {"Host": "rebound.example"},
    {"Sec_Fetch_Site": "cross-site"},
    {"Sec_Fetch_Site": "cross-site", "Referer": f"{FOREIGN}/page"},
    {"Sec_Fetch_Site": "same-site", "Referer": "http://localhost.evil.example/"},
]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", PRESIGNED),
        ("GET", "/"),
        ("PUT", "/lake/users.csv"),
        ("POST", "/lake"),
        ("DELETE", "/lake/users.csv"),
        ("OPTIONS", "/lake/users.csv"),
    ],
)
def test_a_foreign_page_neither_reads_nor_changes_anything(url, s3, method, path):
    for page in FOREIGN_PAGES:
        status, headers, body = ask(url, method, path, **page)
        assert status == 403, page
        assert b"alice" not in body
        assert not any(name.startswith("access-control-") for name in headers)
    stored = s3.get_object(Bucket="lake", Key="users.csv")["Body"].read()
    assert stored == b"USER_ID\nalice\n"


OWN_PAGES = ("", "/", "/data.json", "/reset", "/recorder/upload-recording")


@pytest.mark.parametrize("prefix", ["/moto-api", "//moto-api", "/%6doto-api"])
def test_the_pages_that_show_and_erase_everything_are_off(url, s3, prefix):
    for path in OWN_PAGES:
        for origin in ({}, {"Origin": FOREIGN}, {"Origin": "http://localhost:8888"}):
            status, _, body = ask(url, "POST", prefix + path, **origin)
            assert status == 403, path
            assert b"alice" not in body
    assert s3.list_buckets()["Buckets"]


@pytest.mark.parametrize("origin", [ADMITTED, "http://localhost:5173", "http://127.0.0.1"])
def test_an_admitted_page_reads_and_may_ask_beforehand(url, s3, origin):
    status, headers, body = ask(url, "GET", PRESIGNED, Origin=origin)
    assert (status, body) == (200, b"USER_ID\nalice\n")
    assert headers["access-control-allow-origin"] == origin
    asked = {"Access_Control_Request_Method": "PUT"}
    asked["Access_Control_Request_Headers"] = "authorization, x-amz-date"
    status, headers, _ = ask(url, "OPTIONS", "/lake/new.csv", Origin=origin, **asked)
    assert status == 204
    assert "PUT" in headers["access-control-allow-methods"]
    assert headers["access-control-allow-headers"] == "authorization, x-amz-date"
    picture = {"Sec_Fetch_Site": "cross-site", "Referer": f"{origin}/films"}
    assert ask(url, "GET", PRESIGNED, **picture)[0] == 200


def test_a_program_is_let_through_by_every_name_of_this_machine(url, s3):
    port = urlsplit(url).port
    for host in (f"127.0.0.1:{port}", "localhost", f"LOCALHOST:{port}", "[::1]"):
        assert ask(url, "GET", PRESIGNED, Host=host)[0] == 200
    error = json.dumps(ask(url, "GET", "/", Host="127.0.0.1.evil.example")[2].decode())
    assert "127.0.0.1 and localhost only" in error
