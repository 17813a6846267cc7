"""With credentials, only what their holder signed is answered."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import boto3
import pytest
from botocore import auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from personalens.aws.http_server import LocalServer
from personalens.aws.signatures import (
    AuthenticationError,
    SignatureVerifier,
    read_credentials,
)

NOW = datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC)
HOLDER = Credentials("AKIDEXAMPLE", "secret")
BODY = b'{"userId": "1"}'


def signed(monkeypatch, *, by=HOLDER, at=NOW, region="eu-west-1", service="personalize", **more):
    """Return the headers of a request that botocore signed."""
    monkeypatch.setattr(auth, "get_current_datetime", lambda: at)
    headers = {"content-type": "application/json", "host": "127.0.0.1:8765", **more}
    request = AWSRequest("POST", "http://127.0.0.1:8765/events", headers, BODY)
    auth.SigV4Auth(by, service, region).add_auth(request)
    return {name.lower(): value for name, value in request.headers.items()}


def verify(headers, *, method="POST", path="/events", query="", body=BODY, known=(HOLDER,)):
    verifier = SignatureVerifier(
        {each.access_key: each for each in known}, clock=lambda: NOW.timestamp()
    )
    verifier.verify(method, path, query, headers, body)


def refusal(*arguments, **keywords):
    with pytest.raises(AuthenticationError) as caught:
        verify(*arguments, **keywords)
    return caught.value.code, caught.value.message


def test_what_botocore_signs_is_accepted(monkeypatch):
    verify(signed(monkeypatch))
    verify(signed(monkeypatch, at=NOW - timedelta(minutes=4)))
    verify(signed(monkeypatch, at=NOW + timedelta(minutes=4)))
    verify(signed(monkeypatch, **{"x-amz-target": "AmazonPersonalize.ListSchemas"}))


def test_headers_that_are_not_signed_may_change(monkeypatch):
    verify(signed(monkeypatch) | {"user-agent": "a proxy's", "accept-encoding": "gzip"})


@pytest.mark.parametrize(
    "change",
    [
        {"method": "PUT"},
        {"path": "/items"},
        {"query": "a=b"},
        {"body": BODY + b" "},
        {"body": b""},
    ],
)
def test_nothing_that_is_signed_may(monkeypatch, change):
    code, message = refusal(signed(monkeypatch), **change)
    assert code == "InvalidSignatureException"
    assert message.startswith("The request signature we calculated does not match")


@pytest.mark.parametrize("name", ["host", "content-type", "x-amz-target"])
def test_no_signed_header_may(monkeypatch, name):
    headers = signed(monkeypatch, **{"x-amz-target": "AmazonPersonalize.ListSchemas"})
    assert refusal(headers | {name: "other"})[0] == "InvalidSignatureException"


def test_a_digest_of_the_body_must_be_that_of_the_body(monkeypatch):
    headers = signed(monkeypatch, **{"X-Amz-Content-SHA256": "0" * 64})
    assert refusal(headers)[0] == "InvalidSignatureException"
    unsigned = signed(monkeypatch, **{"X-Amz-Content-SHA256": "UNSIGNED-PAYLOAD"})
    assert refusal(unsigned)[0] == "InvalidSignatureException"


def test_what_decides_the_answer_must_be_signed(monkeypatch):
    headers = signed(monkeypatch) | {"x-amz-target": "AmazonPersonalize.DeleteSchema"}
    code, message = refusal(headers)
    assert code == "InvalidSignatureException"
    assert message == "'x-amz-target' must be a 'SignedHeader' in the AWS Authorization."


@pytest.mark.parametrize(
    ("minutes", "text"), [(-6, "Signature expired: 20240506T070209Z"), (6, "not yet current")]
)
def test_clocks_may_differ_by_five_minutes(monkeypatch, minutes, text):
    code, message = refusal(signed(monkeypatch, at=NOW + timedelta(minutes=minutes)))
    assert code == "InvalidSignatureException"
    assert text in message


def test_an_old_request_cannot_be_sent_again_under_a_new_date(monkeypatch):
    headers = signed(monkeypatch, at=NOW - timedelta(hours=1))
    code, message = refusal(headers | {"x-amz-date": NOW.strftime("%Y%m%dT%H%M%SZ")})
    assert (code, message[:29]) == ("InvalidSignatureException", "The request signature we calc")
    yesterday = signed(monkeypatch, at=NOW - timedelta(days=1))
    code, message = refusal(yesterday | {"x-amz-date": NOW.strftime("%Y%m%dT%H%M%SZ")})
    assert "'20240505' != '20240506'" in message


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"region": "eu-middle-9"}, "scoped to a valid region"),
        ({"service": "s3"}, "scoped to correct service: 'personalize'"),
    ],
)
def test_region_and_service_must_be_right(monkeypatch, change, text):
    code, message = refusal(signed(monkeypatch, **change))
    assert code == "InvalidSignatureException"
    assert text in message


def test_a_region_cannot_be_exchanged(monkeypatch):
    headers = signed(monkeypatch)
    headers["authorization"] = headers["authorization"].replace("eu-west-1", "us-east-1")
    assert refusal(headers)[0] == "InvalidSignatureException"


def test_unknown_keys_and_tokens_are_told_from_wrong_secrets(monkeypatch):
    stranger, liar = Credentials("AKIDSTRANGER", "secret"), Credentials("AKIDEXAMPLE", "guess")
    invalid = (
        "UnrecognizedClientException",
        "The security token included in the request is invalid.",
    )
    assert refusal(signed(monkeypatch, by=stranger)) == invalid
    assert refusal(signed(monkeypatch, by=liar))[0] == "InvalidSignatureException"
    temporary = Credentials("AKIDEXAMPLE", "secret", "token")
    verify(signed(monkeypatch, by=temporary), known=[temporary])
    assert refusal(signed(monkeypatch, by=temporary)) == invalid
    assert refusal(signed(monkeypatch), known=[temporary]) == invalid


@pytest.mark.parametrize(
    ("header", "code"),
    [
        ("", "MissingAuthenticationTokenException"),
        ("AWS4-HMAC-SHA256 Credential=a/b/c/d/e", "IncompleteSignatureException"),
        (
            "AWS4-HMAC-SHA256 Credential=a/b, SignedHeaders=host, Signature=0",
            "IncompleteSignatureException",
        ),
        (
            "AWS4-ECDSA-P256-SHA256 Credential=a/b/c/d/e, SignedHeaders=host, Signature=0",
            "IncompleteSignatureException",
        ),
        ("Basic dXNlcjpwYXNz", "IncompleteSignatureException"),
        ("nonsense", "IncompleteSignatureException"),
    ],
)
def test_a_request_without_a_whole_signature_is_refused(monkeypatch, header, code):
    assert refusal(signed(monkeypatch) | {"authorization": header})[0] == code


def test_a_request_without_a_date_is_refused(monkeypatch):
    headers = signed(monkeypatch)
    del headers["x-amz-date"]
    assert refusal(headers)[0] == "IncompleteSignatureException"
    assert refusal(headers | {"x-amz-date": "today"})[0] == "IncompleteSignatureException"


@pytest.fixture
def credentials_file(tmp_path):
    path = tmp_path / "credentials"
    path.write_text(
        "[default]\naws_access_key_id = AKIDEXAMPLE\naws_secret_access_key = a%b/c=\n"
        "[phone]\naws_access_key_id = AKIDPHONE\naws_secret_access_key = d\n"
        "aws_session_token = token\nregion = eu-west-1\n"
    )
    return path


def test_the_file_is_the_one_that_aws_tools_have(credentials_file):
    found = read_credentials(credentials_file)
    assert {key: (each.secret_key, each.token) for key, each in found.items()} == {
        "AKIDEXAMPLE": ("a%b/c=", None),
        "AKIDPHONE": ("d", "token"),
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "holds no credentials"),
        ("[default]\naws_access_key_id = a\n", r"\[default\] of .* needs"),
        ("aws_access_key_id = a\n", "cannot be read"),
        ("\x00[\n", "cannot be read"),
    ],
)
def test_a_file_that_is_none_is_refused(tmp_path, text, message):
    path = tmp_path / "credentials"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        read_credentials(path)
    with pytest.raises(ValueError, match="cannot be read"):
        read_credentials(tmp_path / "missing")


def test_boto3_signs_as_the_server_verifies(router, credentials_file, allow_loopback):
    known = read_credentials(credentials_file)
    with LocalServer(router=router, verifier=SignatureVerifier(known)) as server:

        def client(service, key, secret, token=None):
            return boto3.client(
                service,
                endpoint_url=server.url,
                region_name="eu-west-1",
                aws_access_key_id=key,
                aws_secret_access_key=secret,
                aws_session_token=token,
                config=Config(retries={"max_attempts": 1}),
            )

        control = client("personalize", "AKIDEXAMPLE", "a%b/c=")
        assert control.create_schema(name="films", schema="{}")["schemaArn"].endswith(
            "schema/films"
        )
        runtime = client("personalize-runtime", "AKIDPHONE", "d", "token")
        assert runtime.get_recommendations(userId="Zoë")["recommendationId"] == "RID-1"
        for service, status in (("personalize", 400), ("personalize-runtime", 403)):
            for key, secret, code in (
                ("AKIDEXAMPLE", "wrong", "InvalidSignatureException"),
                ("AKIDNOBODY", "d", "UnrecognizedClientException"),
            ):
                refused = client(service, key, secret)
                call = (
                    refused.list_schemas
                    if service == "personalize"
                    else refused.get_recommendations
                )
                with pytest.raises(ClientError) as caught:
                    call()
                metadata = caught.value.response["ResponseMetadata"]
                assert caught.value.response["Error"]["Code"] == code
                assert metadata["HTTPStatusCode"] == status
                assert metadata["RetryAttempts"] == 0
        assert len(control.list_schemas()["schemas"]) == 1
