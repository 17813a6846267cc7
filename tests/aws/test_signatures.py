"""With credentials, only what their holder signed is answered."""

from __future__ import annotations

import hashlib
import hmac
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

import boto3
import pytest
from botocore import auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import ClientError
from hypothesis import given, settings
from hypothesis import strategies as st

from personalens.aws.http_server import read_headers
from personalens.aws.signatures import AuthenticationError, SignatureVerifier, read_credentials
from tests.local_server import LocalServer

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
    [{"method": "PUT"}, {"path": "/items"}, {"query": "a=b"}, {"body": BODY + b" "}, {"body": b""}],
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


# -- the kinds that AWS's own suite for signers has (awslabs/aws-c-auth), signed by hand ----------


def canonical(method, path, query, headers, body=b""):
    """Return the canonical request of parts that are in canonical form already."""
    lines = "".join(f"{name}:{value}\n" for name, value in headers.items())
    digest = hashlib.sha256(body).hexdigest()
    return f"{method}\n{path}\n{query}\n{lines}\n{';'.join(headers)}\n{digest}"


def authorization(canonical_request, by=HOLDER):
    """Return the header for a canonical request, as the IAM User Guide tells how to make it."""
    scope = f"{NOW:%Y%m%d}/eu-west-1/personalize/aws4_request"
    digest = hashlib.sha256(canonical_request.encode()).hexdigest()
    text = f"AWS4-HMAC-SHA256\n{STAMP}\n{scope}\n{digest}"
    key = f"AWS4{by.secret_key}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.digest(key, text.encode(), "sha256").hex()
    signed_headers = canonical_request.split("\n")[-2]
    return (
        f"AWS4-HMAC-SHA256 Credential={by.access_key}/{scope}, SignedHeaders={signed_headers}, "
        f"Signature={signature}"
    )


STAMP = NOW.strftime("%Y%m%dT%H%M%SZ")
PLAIN = {"host": "example.com", "x-amz-date": STAMP}
UNRESERVED = "-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize(
    ("sent", "signed_as"),
    [
        ("/", "/"),
        ("/ሴ", "/%E1%88%B4"),
        ("/%E1%88%B4", "/%25E1%2588%25B4"),  # every service but s3 escapes once more
        ("/example space/", "/example%20space/"),
        (f"/{UNRESERVED}", f"/{UNRESERVED}"),
        ("/a$b&c+d,e;f=g:h@i'j(k)l*m!", "/a%24b%26c%2Bd%2Ce%3Bf%3Dg%3Ah%40i%27j%28k%29l%2Am%21"),
        ("//", "/"),
        ("//example//", "/example/"),
        ("/example/..", "/"),
        ("/example1/example2/../..", "/"),
        ("/./", "/"),
        ("/./example", "/example"),
    ],
)
def test_paths_are_signed_normalised_and_escaped(method, sent, signed_as):
    headers = PLAIN | {"authorization": authorization(canonical(method, signed_as, "", PLAIN))}
    on_the_wire = sent.encode().decode("latin-1")
    for path in {sent, on_the_wire}:
        verify(headers, method=method, path=path, body=b"")
    assert refusal(headers, method=method, path="/other", body=b"")[0] == (
        "InvalidSignatureException"
    )


@pytest.mark.parametrize(
    ("sent", "signed_as"),
    [
        ("", ""),
        ("Param1=value1", "Param1=value1"),
        ("Param1=", "Param1="),
        ("Param1", "Param1="),
        ("=value1", "=value1"),
        ("ሴ=bar", "%E1%88%B4=bar"),
        ("%E1%88%B4=bar", "%E1%88%B4=bar"),
        ("Param2=value2&Param1=value1", "Param1=value1&Param2=value2"),
        ("Param1=value2&Param1=Value1", "Param1=Value1&Param1=value2"),
        ("Param1=value2&param1=Value1", "Param1=value2&param1=Value1"),
        (
            "Param-3=Value3&Param=Value2&%E1%88%B4=Value1",
            "%E1%88%B4=Value1&Param=Value2&Param-3=Value3",
        ),
        (f"{UNRESERVED}={UNRESERVED}", f"{UNRESERVED}={UNRESERVED}"),
    ],
)
def test_queries_are_signed_in_their_order(sent, signed_as):
    headers = PLAIN | {"authorization": authorization(canonical("GET", "/", signed_as, PLAIN))}
    for query in {sent, sent.encode().decode("latin-1")}:
        verify(headers, method="GET", path="/", query=query, body=b"")
    assert refusal(headers, method="GET", path="/", query="a=b", body=b"")[0] == (
        "InvalidSignatureException"
    )


@pytest.mark.parametrize(
    ("sent", "signed_as"),
    [
        ([("my-header1", "value1")], {"my-header1": "value1"}),
        ([("My-Header1", "VALUE1")], {"my-header1": "VALUE1"}),
        ([("my-header1", "b"), ("my-header1", "a")], {"my-header1": "b,a"}),
        ([("my-header1", "value4"), ("My-Header1", "value1")], {"my-header1": "value4,value1"}),
        ([("my-header1", "  value1 ")], {"my-header1": "value1"}),
        ([("my-header1", '"a   b   c"')], {"my-header1": '"a b c"'}),
        ([("my-header1", "value1\n  value2\n     value3")], {"my-header1": "value1 value2 value3"}),
        ([("zoo", "1"), ("ape", "2")], {"ape": "2", "zoo": "1"}),
        ([("my-header1", "Zoë".encode().decode("latin-1"))], {"my-header1": "Zoë"}),
        ([("my-header1", "Zoë")], {"my-header1": "Zoë"}),
    ],
)
def test_headers_are_signed_trimmed_joined_and_sorted(sent, signed_as):
    as_signed = dict(sorted((PLAIN | signed_as).items()))
    wire = [*PLAIN.items(), *sent]
    wire.append(("authorization", authorization(canonical("GET", "/", "", as_signed))))
    headers = read_headers([(n.lower().encode(), v.encode("latin-1")) for n, v in wire])
    verify(headers, method="GET", path="/", body=b"")
    for name in signed_as:
        code, _ = refusal(headers | {name: "other"}, method="GET", path="/", body=b"")
        assert code == "InvalidSignatureException"


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("application/x-www-form-urlencoded", b"Param1=value1"),
        ("application/x-www-form-urlencoded; charset=utf-8", b"Param1=value1"),
        ("application/json", "Zoë".encode()),
        ("application/json", b""),
    ],
)
def test_bodies_and_their_type_are_signed(content_type, body):
    as_signed = {"content-type": content_type} | PLAIN
    headers = as_signed | {
        "authorization": authorization(canonical("POST", "/", "", as_signed, body))
    }
    verify(headers, path="/", body=body)
    assert refusal(headers, path="/", body=body + b"x")[0] == "InvalidSignatureException"


@pytest.mark.parametrize("is_signed", [True, False])
def test_a_session_token_may_be_signed_or_added_afterwards(is_signed):
    temporary = Credentials("AKIDEXAMPLE", "secret", "AQoDYXdzEPT//////////wEXAMPLE==")
    token = {"x-amz-security-token": temporary.token}
    as_signed = PLAIN | token if is_signed else PLAIN
    headers = PLAIN | token
    headers["authorization"] = authorization(canonical("POST", "/", "", as_signed), temporary)
    verify(headers, path="/", body=b"", known=[temporary])
    for wrong in ({}, {"x-amz-security-token": "other"}, {"x-amz-security-token": "\xe9"}):
        changed = {k: v for k, v in headers.items() if k not in token} | wrong
        code, _ = refusal(changed, path="/", body=b"", known=[temporary])
        assert code == "UnrecognizedClientException"


def test_a_signature_in_the_query_is_not_taken():
    query = f"X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Date={STAMP}&X-Amz-Signature={'0' * 64}"
    code, _ = refusal(PLAIN, method="GET", path="/", query=query, body=b"")
    assert code == "MissingAuthenticationTokenException"


@given(
    path=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="?#"), max_size=20),
    query=st.dictionaries(
        st.text("aZ-._~ሴ%é", min_size=1, max_size=4), st.text("aZ=é", max_size=4)
    ),
    more=st.dictionaries(
        st.text("abcXYZ-", min_size=3, max_size=8).map("x-amz-".__add__),
        st.text("a Zé,;\t", max_size=12),
        max_size=4,
    ),
    body=st.binary(max_size=20),
)
@settings(max_examples=200, deadline=None, derandomize=True, database=None)
def test_whatever_botocore_signs_is_accepted(path, query, more, body):
    path = "/" + quote(path)
    query = "&".join(
        f"{quote(key, safe='')}={quote(value, safe='')}" for key, value in query.items()
    )
    request = AWSRequest("POST", f"http://example.com{path}?{query}", {**more}, body)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(auth, "get_current_datetime", lambda: NOW)
        auth.SigV4Auth(HOLDER, "personalize", "eu-west-1").add_auth(request)
    wire = [("host", "example.com"), *request.headers.items()]
    headers = read_headers([(n.lower().encode(), v.encode("latin-1")) for n, v in wire])
    verify(headers, path=path, query=query, body=body)
    assert refusal(headers, path=path, query=query, body=body + b"x")[0] == (
        "InvalidSignatureException"
    )


@pytest.mark.parametrize(
    "change",
    [
        {"date": "Mon, 06 May 2024 07:08:09 +99999999999999999999", "x-amz-date": ""},
        {"date": "Mon, 06 May 99999999999 07:08:09 GMT", "x-amz-date": ""},
        {"date": "Fri, 31 Dec 9999 23:59:59 -2359", "x-amz-date": ""},
        {"x-amz-date": "20240506T070809"},
        {"authorization": lambda text: text.replace("Signature=", "Signature=\xe9")},
        {"authorization": lambda text: text.replace("SignedHeaders=", "SignedHeaders=\xe9;")},
        {"authorization": lambda text: text.replace("host", ";".join(map(str, range(9000))))},
        {"host": "["},
        {"host": "\xff"},
    ],
)
def test_nonsense_is_refused_like_anything_else_that_is_wrong(monkeypatch, change):
    headers = signed(monkeypatch)
    for name, value in change.items():
        headers[name] = value(headers[name]) if callable(value) else value
    assert refusal(headers)[0] in ("IncompleteSignatureException", "InvalidSignatureException")


def test_the_moment_of_a_date_header_is_that_of_its_zone(monkeypatch):
    as_signed = {"date": "Tue, 07 May 2024 02:08:09 +1900", "host": "example.com"}
    headers = as_signed | {"authorization": authorization(canonical("GET", "/", "", as_signed))}
    verify(headers, method="GET", path="/", body=b"")


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
