"""The HTTP server and the in-process client give the same answers."""

from __future__ import annotations

import http.client
import json
import threading

import boto3
import pytest
from botocore.exceptions import ClientError

from personalens.activation import Activation
from personalens.aws.http_server import MAX_BODY_BYTES, LocalServer

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
        ("/no-such-path", b"{}", 404),
        ("/recommendations", b" " * (MAX_BODY_BYTES + 1), 413),
    ],
)
def test_raw_requests_get_the_status_they_deserve(server, path, body, status):
    answered, headers, _ = ask(server, "POST", path, body, Content_Type="application/json")
    assert answered == status
    assert (headers["x-amzn-ErrorType"] is None) is (status == 200)


def test_a_web_page_cannot_use_the_server_through_a_browser(server):
    events = b'{"trackingId": "t", "sessionId": "s", "eventList": []}'
    assert ask(server, "POST", "/events", events, Content_Type="text/plain")[0] == 415
    assert ask(server, "POST", "/events", events)[0] == 415
    rebound = {"Content_Type": "application/json", "Host": "attacker.example"}
    assert ask(server, "POST", "/events", events, **rebound)[0] == 400
