"""The HTTP server and the in-process client give the same answers."""

from __future__ import annotations

import http.client
import json
import logging
import socket
import threading
import time
from datetime import datetime

import boto3
import pytest
from botocore.exceptions import ClientError

from personalens.activation import Activation
from personalens.aws.cross_origin import OriginRule
from personalens.aws.http_server import MAX_BODY_BYTES
from tests.local_server import LocalServer

KEYS = {"aws_access_key_id": "any", "aws_secret_access_key": "any", "region_name": "eu-west-1"}


@pytest.fixture
def server(router, allow_loopback):
    with LocalServer(router=router) as server:
        yield server


def talk(endpoint_url=None):
    """Make a client of each service and return what a small script of calls gets to see."""
    control, runtime, events = (
        boto3.client(service, endpoint_url=endpoint_url, **KEYS)
        for service in ("personalize", "personalize-runtime", "personalize-events")
    )
    calls = [
        lambda: control.create_schema(name="films", schema="{}"),
        lambda: control.create_schema(name="films", schema="{}"),
        lambda: control.create_schema(name="x" * 64, schema="{}"),
        lambda: control.describe_schema(
            schemaArn="arn:aws:personalize:eu-west-1:123456789012:schema/films"
        ),
        lambda: control.list_schemas(maxResults=5),
        lambda: control.list_campaigns(),
        lambda: runtime.get_recommendations(userId="Zoë", numResults=3),
        lambda: runtime.get_recommendations(userId="404"),
        lambda: runtime.get_personalized_ranking(
            campaignArn="arn:aws:personalize:::campaign/x", userId="1", inputList=["1"]
        ),
        lambda: events.put_events(
            trackingId="t", sessionId="s", eventList=[{"eventType": "click", "sentAt": 5}]
        ),
    ]
    seen = []
    for call in calls:
        try:
            reply, kind = call(), "result"
        except ClientError as error:
            reply, kind = error.response, type(error).__name__
        metadata = reply.pop("ResponseMetadata")
        seen.append((kind, metadata["HTTPStatusCode"], metadata["RetryAttempts"], reply))
    return seen


def test_both_transports_answer_alike(server, make_router):
    over_http = talk(server.url)
    with Activation(make_router()):
        in_process = talk()
    assert over_http == in_process
    assert [(kind, status) for kind, status, _, _ in over_http] == [
        ("result", 200),
        ("ResourceAlreadyExistsException", 400),
        ("InvalidInputException", 400),
        ("result", 200),
        ("result", 200),
        ("ClientError", 501),
        ("result", 200),
        ("ResourceNotFoundException", 404),
        ("ClientError", 501),
        ("result", 200),
    ]


def test_the_environment_is_enough_to_redirect_a_client(server, monkeypatch):
    for service in ("PERSONALIZE", "PERSONALIZE_RUNTIME"):
        monkeypatch.setenv(f"AWS_ENDPOINT_URL_{service}", server.url)
    assert boto3.client("personalize", **KEYS).list_schemas()["schemas"] == []
    runtime = boto3.client("personalize-runtime", **KEYS)
    assert runtime.get_recommendations(userId="1")["recommendationId"] == "RID-1"


def test_many_clients_at_once(server):
    seen = []

    def work(number):
        client = boto3.session.Session(**KEYS).client("personalize", endpoint_url=server.url)
        client.create_schema(name=f"films-{number}", schema="{}")
        seen.append(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    client = boto3.client("personalize", endpoint_url=server.url, **KEYS)
    assert len(client.list_schemas()["schemas"]) == len(seen) == 8


def ask(server, method, path, body=b"", **headers):
    """Send one raw request and return its status, headers and body."""
    host, port = server.url.removeprefix("http://").split(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=20)
    try:
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, body, names)
        response = connection.getresponse()
        return response.status, response.headers, response.read()
    finally:
        connection.close()


def test_health_says_whose_home_is_served(server, router):
    status, _, body = ask(server, "GET", "/_personalens/health")
    assert status == 200
    assert json.loads(body)["home"] == str(router.home.path)
    assert json.loads(body)["status"] == "ok"


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/recommendations", b'{"userId": "1"}', 200),
        ("/recommendations", b"{nonsense", 400),
        ("/recommendations", b'{"userId": 1}', 400),
        ("/recommendations", b'{"userId": "\xff"}', 400),
        ("/recommendations", b'{"userId": "\\ud800"}', 400),
        ("/recommendations", b'{"numResults": NaN}', 400),
        ("/recommendations", b'{"numResults": 1e400}', 400),
        ("/recommendations", b'{"context": ' + b"[" * 100_000, 400),
        ("/recommendations", b'{"context": ' + b'{"a":' * 5000 + b"1" + b"}" * 5001, 400),
        ("/recommendations", b"[]", 400),
        ("/no-such-path", b"{}", 404),
        ("/recommendations", b" " * (MAX_BODY_BYTES + 1), 413),
    ],
)
def test_raw_requests_get_the_status_they_deserve(server, path, body, status):
    answered, headers, _ = ask(server, "POST", path, body, Content_Type="application/json")
    assert answered == status
    assert (headers["x-amzn-ErrorType"] is None) is (status == 200)
    assert len(headers["x-amzn-RequestId"]) == 36


def test_a_body_that_is_announced_too_long_is_not_waited_for(server):
    host, port = server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=20) as connection:
        head = "POST /events HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        connection.sendall(f"{head}Content-Length: {MAX_BODY_BYTES + 1}\r\n\r\n".encode())
        assert connection.recv(100).startswith(b"HTTP/1.1 413 ")


def test_a_web_page_cannot_use_the_server_through_a_browser(server):
    events = b'{"trackingId": "t", "sessionId": "s", "eventList": []}'
    assert ask(server, "POST", "/events", events, Content_Type="text/plain")[0] == 415
    assert ask(server, "POST", "/events", events, Content_Type="text/plain; x=json")[0] == 415
    assert ask(server, "POST", "/events", events)[0] == 415
    rebound = {"Content_Type": "application/json", "Host": "attacker.example"}
    assert ask(server, "POST", "/events", events, **rebound)[0] == 400
    foreign = {"Content_Type": "application/json", "Origin": "https://attacker.example"}
    assert ask(server, "POST", "/events", events, **foreign)[0] == 403
    asks = {"Origin": "https://attacker.example", "Access_Control_Request_Method": "POST"}
    status, headers, _ = ask(server, "OPTIONS", "/events", **asks)
    assert status == 403
    assert headers["Access-Control-Allow-Headers"] is None


@pytest.mark.parametrize("origin", ["http://localhost:5173", "http://[::1]", "http://127.0.0.1:80"])
def test_a_page_of_this_machine_can(server, origin):
    wanted = "authorization,content-type,x-amz-date,amz-sdk-invocation-id"
    status, headers, _ = ask(
        server,
        "OPTIONS",
        "/recommendations",
        Origin=origin,
        Access_Control_Request_Method="POST",
        Access_Control_Request_Headers=wanted,
    )
    assert status == 204
    assert headers["Access-Control-Allow-Origin"] == origin
    assert headers["Access-Control-Allow-Headers"] == wanted
    for body, expected in ((b'{"userId": "1"}', 200), (b"{}", 400)):
        status, headers, _ = ask(
            server, "POST", "/recommendations", body, Content_Type="application/json", Origin=origin
        )
        assert status == expected
        assert headers["Access-Control-Allow-Origin"] == origin
        assert "x-amzn-ErrorType" in headers["Access-Control-Expose-Headers"]


def test_other_pages_can_where_they_are_admitted(router, allow_loopback):
    asks = {"Content_Type": "application/json", "Origin": "null"}
    for allowed, status in (((), 403), (("null",), 200), (("*",), 200)):
        with LocalServer(router=router, origins=OriginRule(allowed)) as server:
            assert ask(server, "POST", "/recommendations", b'{"userId": "1"}', **asks)[0] == status


def test_every_request_is_a_line_of_the_access_log(server, caplog):
    with caplog.at_level(logging.INFO, "personalens.access"):
        boto3.client("personalize", endpoint_url=server.url, **KEYS).list_schemas()
        _, headers, _ = ask(server, "POST", "/recommendations", b"{}", Content_Type="text/plain")
        ask(server, "POST", "/secret", b"{}", Content_Type="application/json")
        lines = wait_for(lambda: caplog.messages if len(caplog.messages) == 3 else None)
    listed, refused, unknown = map(json.loads, lines)
    assert (listed["service"], listed["operation"]) == ("personalize", "ListSchemas")
    assert listed["status"] == 200
    assert datetime.fromisoformat(listed["time"]).tzinfo is not None
    assert 0 < listed["ms"] < 60_000
    assert (refused["operation"], refused["status"]) == ("GetRecommendations", 415)
    assert refused["requestId"] == headers["x-amzn-RequestId"]
    assert (unknown["method"], unknown["path"], unknown["status"]) == ("POST", "/secret", 404)


def wait_for(look, seconds=20.0):
    """Return what ``look`` finds once it finds something."""
    end = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < end, "nothing came"
        time.sleep(0.01)
    return found


def test_a_request_that_has_arrived_is_answered_before_the_server_ends(make_router, allow_loopback):
    has_arrived, may_answer = threading.Event(), threading.Event()

    class SlowRouter:
        home = make_router().home

        def call(self, *_, **__):
            has_arrived.set()
            assert may_answer.wait(20)
            return {"recommendationId": "RID-late"}

    answers = []
    with LocalServer(router=SlowRouter()) as server:
        asking = threading.Thread(
            target=lambda: answers.append(
                ask(server, "POST", "/recommendations", b"{}", Content_Type="application/json")
            )
        )
        asking.start()
        assert has_arrived.wait(20)
        threading.Timer(0.2, may_answer.set).start()  # only after the server was told to end
    asking.join()
    assert answers[0][0] == 200
    assert b"RID-late" in answers[0][2]
