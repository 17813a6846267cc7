"""Whatever bytes arrive, the answer is a result or a typed refusal, and never a defect of ours.

The application is called as the server calls it, without sockets: a valid request of any operation
in which some place is replaced by hostile JSON, inside texts that are JSON themselves too; bodies
of any bytes; and any headers, with and without signatures.
"""

from __future__ import annotations

import asyncio
import json
import string
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from botocore.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st

from personalens.aws.http_server import ServiceApplication
from personalens.aws.operation_router import OperationRouter
from personalens.aws.service_models import SERVICES, operations
from personalens.aws.signatures import SignatureVerifier
from personalens.storage.job_queue import JobQueue
from personalens.storage.resource_store import ResourceStore
from tests.contract.account import valid_requests
from tests.contract.generated_requests import headers as headers_of

ALL = [operation for service in SERVICES for operation in operations(service).values()]
HOSTILE = [
    "[" * 900 + "]" * 900,
    "[" * 4000 + "]" * 4000,
    '{"a":' * 300 + "1" + "}" * 300,
    "9" * 5000,
    "-" + "9" * 30,
    str(2**31),
    str(2**63),
    str(2**64),
    "1e999",
    "-1e308",
    "5e-324",
    "1.5",
    "-1",
    "NaN",
    "-Infinity",
    '"\\ud800"',
    '"\\udfff\\ud800"',
    '"\\u0000"',
    '"\\u2028\\u202e"',
    '"\\ufeff"',
    '""',
    '" "',
    "null",
    "true",
    "{}",
    "[]",
    "[null]",
    "[[], {}]",
    '{"": ""}',
    '{"type": {}}',
    '"0001-01-01T00:00:00+23:59"',
    '"' + "x" * 3000 + '"',
    '"' + '\\"' * 300 + '"',
    '"("',
    '"$A $A | %s {0} \\\\"',
]
"""Pieces of JSON, and some that are none."""
STRINGS = [piece for piece in HOSTILE if piece.startswith('"')]
MORE_KEYS = ("nextToken", "maxResults", "filterValues", "context", "tags", "itemId", "eventValue")
AVRO_KEYS = ("default", "aliases", "doc", "order", "logicalType", "symbols", "categorical")
strings = st.one_of(
    st.sampled_from(STRINGS),
    st.text(max_size=20).map(json.dumps),
    st.text("\"\\'$|(),.*= INO", max_size=20).map(json.dumps),
    st.floats().map(lambda number: json.dumps(str(number))),
)
others = st.one_of(
    st.sampled_from(HOSTILE),
    st.integers().map(str),
    st.floats().map(json.dumps),
    strings.map(lambda text: f'{{"KIND": {text}}}'),
    strings.map(lambda text: f'[{{"tagKey": {text}, "tagValue": {text}}}]'),
)


@pytest.fixture
def router(account):
    context = account.service.context
    waiting = replace(context, jobs=JobQueue(account.home, ResourceStore(account.home)))
    return OperationRouter(account.home, open_context=lambda home, region: waiting)


def places(value, path=()):
    """Yield the path of every part of a document, and of parts that could be there; those of a text
    that is JSON are parts, too."""
    yield path
    value, is_text = opened(value), isinstance(value, str)
    if isinstance(value, dict):
        keys = [*value, *(AVRO_KEYS if is_text or "type" in value else MORE_KEYS)]
    else:
        keys = range(len(value)) if isinstance(value, list) else ()
    for key in keys:
        yield from places(value[key] if key in value or isinstance(key, int) else 0, (*path, key))


def opened(value):
    is_json = isinstance(value, str) and value.startswith("{")
    return json.loads(value) if is_json else value


def at(value, path):
    for key in path:
        value = opened(value)
        value = value.get(key) if isinstance(value, dict) else value[key]
    return value


def with_piece(value, path, piece):
    """Return the JSON text of a document in which ``piece`` stands at a place."""
    if not path:
        return piece
    inner, key = opened(value), path[0]
    if isinstance(inner, dict):
        inner = inner if key in inner else inner | {key: None}
        parts = {k: json.dumps(v) for k, v in inner.items()}
        parts[key] = with_piece(inner[key], path[1:], piece)
        text = "{" + ", ".join(f"{json.dumps(k)}: {part}" for k, part in parts.items()) + "}"
    else:
        parts = [json.dumps(v) for v in inner]
        parts[key] = with_piece(inner[key], path[1:], piece)
        text = f"[{', '.join(parts)}]"
    return json.dumps(text) if isinstance(value, str) else text


def send(application, method, path, headers, body):
    """Call the application; return status, headers and body."""
    sent = []

    async def receive():
        return {"type": "http.request", "body": body, "more_body": False}

    async def remember(message):
        sent.append(message)

    raw_path = path.encode("utf-8", "surrogatepass")
    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "raw_path": raw_path,
        "query_string": raw_path,
        "headers": [(name.lower().encode(), value.encode("latin-1")) for name, value in headers],
    }
    asyncio.run(application(scope, receive, remember))
    start, content = sent
    return start["status"], dict(start["headers"]), content["body"]


def assert_is_answer_or_typed_refusal(status, headers, body):
    assert status < 500 or status == 501, body
    for value in headers.values():
        assert value.isascii()
        assert value.decode().isprintable()
    document = json.loads(body) if body else {}
    if status >= 400:
        code = document.get("__type") or headers[b"x-amzn-errortype"].decode()
        assert set(code) <= set(string.ascii_letters), code
        assert document["message"]
        assert (status == 501) == (code == "NotImplementedException")


def test_hostile_pieces_in_valid_requests(account, router):
    valid = valid_requests(account)
    where = [(each, path) for each in ALL for path in places(valid[each.name])]
    application = ServiceApplication(router)

    @given(st.sampled_from(where), st.data())
    def ask(place, data):
        operation, path = place
        is_string = isinstance(at(valid[operation.name], path), str)
        piece = data.draw(st.one_of(strings, strings, others) if is_string else others)
        body = with_piece(valid[operation.name], path, piece).encode("utf-8", "surrogatepass")
        head = [("host", "localhost"), *headers_of(operation).items()]
        answer = send(application, "POST", operation.model.http["requestUri"], head, body)
        assert_is_answer_or_typed_refusal(*answer)

    ask()


def test_bodies_of_any_bytes(account, router):
    valid = {name: json.dumps(body).encode() for name, body in valid_requests(account).items()}
    application = ServiceApplication(router)

    @given(st.sampled_from(ALL), st.data())
    def ask(operation, data):
        body = valid[operation.name]
        start, end = sorted(data.draw(st.tuples(*[st.integers(0, len(body))] * 2)))
        noise = data.draw(st.one_of(st.binary(max_size=30), st.just(b"\xff\xfe"), st.just(b"\0")))
        head = [("host", "localhost"), *headers_of(operation).items()]
        answer = send(
            application,
            "POST",
            operation.model.http["requestUri"],
            head,
            body[:start] + noise + body[end:],
        )
        assert_is_answer_or_typed_refusal(*answer)

    ask()


DAY = datetime.now(UTC)
AUTHORIZATION = (
    "AWS4-HMAC-SHA256 Credential={}/{:%Y%m%d}/us-east-1/personalize/aws4_request, "
    "SignedHeaders=content-type;host;x-amz-date, Signature={}"
)
VALUES = {
    "host": ["localhost", "[", "[::1", "a,b", "", "\xff", "localhost:x", "localhost:99999999999"],
    "date": [
        "Mon, 06 May 2024 07:08:09 GMT",
        "Mon, 06 May 2024 07:08:09 +99999999999999999999",
        "Mon, 06 May 99999999999 07:08:09 GMT",
        "Fri, 31 Dec 9999 23:59:59 -2359",
        "9" * 5000,
        "\xb2",
    ],
    "x-amz-date": [f"{DAY:%Y%m%dT%H%M%SZ}", "20240230T000000Z", "\xb20240506T070809Z", ""],
    "authorization": [
        AUTHORIZATION.format("AKIDEXAMPLE", DAY, "0" * 64),
        AUTHORIZATION.format("AKIDEXAMPLE", DAY, "\xe9"),
        AUTHORIZATION.format("AKIDEXAMPLE", DAY, "0").replace("host", ";" * 40_000),
        AUTHORIZATION.format("AKIDEXAMPLE", DAY, "0").replace("host", "\xe9;host"),
        AUTHORIZATION.format("", DAY, "0"),
        "AWS4-HMAC-SHA256 " + "=,=" * 9000,
        "AWS4-HMAC-SHA256 Credential=////, SignedHeaders=;, Signature==",
    ],
    "content-type": ["application/json", "application/x-amz-json-1.1; charset=\xff", "a" * 9000],
    "content-length": ["2", "\xb2", "9" * 5000, "-1", "1e9"],
    "origin": ["null", "http://localhost", "https://a.example\x7f", "\xff", "http://localhost\x00"],
    "x-amz-target": ["AmazonPersonalize.ListSchemas", "AmazonPersonalize.", ".", "\xff.\xff"],
    "x-amz-content-sha256": ["UNSIGNED-PAYLOAD", "\xff", ""],
    "x-amz-security-token": ["\xff", "", "token"],
    "access-control-request-method": ["POST", "\x01"],
    "access-control-request-headers": ["authorization", "\x85", "a\x00b", "a" * 9000],
}
headers = st.lists(
    st.sampled_from(sorted(VALUES)).flatmap(
        lambda name: st.tuples(
            st.just(name),
            st.one_of(
                st.sampled_from(VALUES[name]),
                st.sampled_from(VALUES[name][:1]),
                st.text(st.characters(max_codepoint=255), max_size=20),
            ),
        )
    ),
    max_size=12,
)
targets = st.one_of(
    st.sampled_from(
        ["/", "/events", "/recommendations", "/_personalens/health", "*", "", "[", "//["]
    ),
    st.sampled_from(["/%", "/%zz", "/%ff", "/events%00", "/ሴ", "/..;/", "/\x00", "/ev\tents"]),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
)


@pytest.mark.parametrize("has_credentials", [False, True])
def test_any_head(router, has_credentials):
    known = {"AKIDEXAMPLE": Credentials("AKIDEXAMPLE", "secret")}
    application = ServiceApplication(
        router, allowed_hosts=("*",), verifier=SignatureVerifier(known) if has_credentials else None
    )

    @given(st.sampled_from(["POST", "GET", "OPTIONS", "PUT", "\x00"]), targets, headers)
    def ask(method, path, sent):
        answer = send(application, method, path, sent, b"{}")
        assert_is_answer_or_typed_refusal(*answer)
        assert not has_credentials or method != "POST" or answer[0] >= 400

    ask()
