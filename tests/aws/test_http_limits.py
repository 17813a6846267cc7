"""What a stranger can hold of the server: not more than a little, and not for long."""

from __future__ import annotations

import json
import socket
import threading
import time
from contextlib import ExitStack

import boto3
import psutil
import pytest
from botocore.credentials import Credentials

from personalens.aws import http_limits
from personalens.aws.http_limits import MAX_HEADER_BYTES, MAX_PIPELINED, LimitedProtocol
from personalens.aws.http_server import MAX_BODY_BYTES
from personalens.aws.signatures import SignatureVerifier
from tests.local_server import LocalServer

HEAD = b"POST /recommendations HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
WHOLE = HEAD + b'Content-Length: 15\r\n\r\n{"userId": "1"}'


@pytest.fixture
def server(router, allow_loopback):
    with LocalServer(router=router) as server:
        yield server


@pytest.fixture
def impatient(router, allow_loopback, monkeypatch):
    """A server that waits for half a second only."""
    monkeypatch.setattr(LimitedProtocol, "arrival_seconds", 0.5)
    with LocalServer(router=router) as server:
        yield server


def connect(server):
    host, port = server.url.removeprefix("http://").split(":")
    return socket.create_connection((host, int(port)), timeout=20)


def all_that_comes(connection):
    """Return what the server sends until it hangs up."""
    received = b""
    try:
        while part := connection.recv(65536):
            received += part
    except ConnectionResetError:  # it did not read all that was sent
        pass
    return received


def flood(connection, parts, most=20_000_000):
    """Send parts until the server hangs up; return how many bytes it took."""
    sent = 0
    try:
        for part in parts:
            connection.sendall(part)
            sent += len(part)
            if sent > most:
                break
    except OSError:
        pass
    return sent


def assert_refused(answer, status, code):
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(f"HTTP/1.1 {status} ".encode())
    assert f"x-amzn-ErrorType: {code}".encode() in head
    assert b"Connection: close" in head
    assert json.loads(body)["message"]


def endless(kind):
    """Yield a head that never ends, in pieces of some KB."""
    yield {"target": b"POST /", "name": HEAD, "value": HEAD + b"X-A: "}.get(kind, HEAD)
    number = 0
    while True:
        number += 1
        yield b"X-%d: %s\r\n" % (number, b"a" * 8000) if kind == "lines" else b"a" * 8192


@pytest.mark.parametrize("kind", ["lines", "target", "name", "value"])
def test_headers_without_an_end_are_cut_off(server, kind):
    memory = psutil.Process().memory_info().rss
    with connect(server) as connection:
        assert flood(connection, endless(kind)) < 10_000_000  # what the system keeps for both sides
        answer = all_that_comes(connection)
        assert not answer or answer.startswith(b"HTTP/1.1 431 ")
    assert psutil.Process().memory_info().rss - memory < 5_000_000


@pytest.mark.parametrize(
    ("size", "status"), [(MAX_HEADER_BYTES - 300, 200), (MAX_HEADER_BYTES + 1, 431)]
)
def test_64_kb_of_headers_are_taken_and_no_more(server, size, status):
    with connect(server) as connection:
        connection.sendall(WHOLE.replace(b"\r\n\r\n", b"\r\nX-A: %s\r\n\r\n" % (b"a" * size)))
        answer = connection.recv(65536)
    assert answer.startswith(b"HTTP/1.1 %d " % status)
    if status == 431:
        assert_refused(answer, 431, "RequestHeaderFieldsTooLargeException")


@pytest.mark.parametrize(
    "endless_part",
    [
        b"1;" + b"x" * 4000 + b"\r\na\r\n",  # extensions of chunks
        b"0\r\n" + b"X-A: aaaaaaaaaaaaaaaaaa\r\n" * 200,  # trailers
        b"1000\r\n" + b"a" * 4096 + b"\r\n",  # the body itself
    ],
)
def test_a_chunked_body_has_an_end_too(server, endless_part):
    def parts():
        yield HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
        while True:
            yield endless_part if not endless_part.startswith(b"0") else endless_part[3:]

    first = parts()
    with connect(server) as connection:
        connection.sendall(next(first))
        if endless_part.startswith(b"0"):
            connection.sendall(b"0\r\n")
        threading.Thread(target=flood, args=(connection, first), daemon=True).start()
        answer = connection.recv(1000)
        assert not answer or answer.startswith((b"HTTP/1.1 431 ", b"HTTP/1.1 413 "))


def test_a_chunked_body_of_the_largest_size_is_taken(server):
    body = b'{"userId": "1"' + b" " * (MAX_BODY_BYTES - 15) + b"}"
    chunks = [body[place : place + 1000] for place in range(0, len(body), 1000)]
    with connect(server) as connection:
        connection.sendall(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
        for chunk in chunks:
            connection.sendall(b"%x\r\n%s\r\n" % (len(chunk), chunk))
        connection.sendall(b"0\r\n\r\n")
        assert connection.recv(100).startswith(b"HTTP/1.1 200 ")


BEGUN = [
    b"",
    b"\r\n",
    b"POST",
    HEAD,
    HEAD + b"Host: ",
    HEAD + b"Content-Length: 100\r\n\r\n{",
    HEAD + b"Transfer-Encoding: chunked\r\n\r\n",
    HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\nab",
    HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\nX-A: ",
    WHOLE + b"\r\n",
    WHOLE + b"POST /rec",
    HEAD.replace(b"json", b"x") + b"Content-Length: 100\r\n\r\n",  # refused before it is whole
]


def test_what_does_not_arrive_is_not_waited_for(impatient):
    with ExitStack() as stack:  # all at once, for each is waited for
        connections = [stack.enter_context(connect(impatient)) for _ in BEGUN]
        for connection, begun in zip(connections, BEGUN, strict=True):
            connection.sendall(begun)
        for connection, begun in zip(connections, BEGUN, strict=True):
            is_whole = b"Host" in begun and (WHOLE in begun or b"/x\r" in begun)
            assert all_that_comes(connection).count(b"HTTP/1.1") == is_whole, begun


@pytest.mark.parametrize("drop", [b"\r\n", b"X-A: a\r\n", b"a"])
def test_a_drop_now_and_then_does_not_keep_a_request_alive(impatient, drop):
    head = (
        HEAD + b"Content-Length: 1000\r\n\r\n" if drop == b"a" else b"" if drop[:1] < b"A" else HEAD
    )
    began = time.monotonic()
    with connect(impatient) as connection:
        connection.sendall(head)
        try:
            while time.monotonic() < began + 20:
                connection.sendall(drop)
                time.sleep(0.05)
        except OSError:
            pass
    assert time.monotonic() < began + 15


def test_a_request_that_is_cut_is_not_carried_out(router, allow_loopback):
    provider = router._provider("personalize-events", "us-east-1")
    body = b'{"trackingId": "t", "sessionId": "s", "eventList": [{"eventType": "a", "sentAt": 1}]}'
    head = HEAD.replace(b"/recommendations", b"/events")
    with LocalServer(router=router) as server:
        for announced in (len(body) + 1, len(body)):
            with connect(server) as connection:
                connection.sendall(head + b"Content-Length: %d\r\n\r\n%s" % (announced, body))
                if announced > len(body):
                    connection.shutdown(socket.SHUT_WR)
                    assert all_that_comes(connection) == b""
                    assert provider.received == []
                else:
                    assert connection.recv(100).startswith(b"HTTP/1.1 200 ")
    assert len(provider.received) == 1


def test_an_answer_may_take_longer_than_a_request_may(make_router, allow_loopback, monkeypatch):
    monkeypatch.setattr(LimitedProtocol, "arrival_seconds", 0.2)

    class SlowRouter:
        home = make_router().home

        def call(self, *_, **__):
            time.sleep(1.0)
            return {"recommendationId": "RID-late"}

    with LocalServer(router=SlowRouter()) as server, ExitStack() as stack:
        connections = []
        for behind in (b"", b"\r\n", HEAD, HEAD + b"Content-Length: 9\r\n\r\n{"):
            connections.append(stack.enter_context(connect(server)))
            connections[-1].sendall(WHOLE + behind)
        for connection in connections:
            answers = all_that_comes(connection)
            assert answers.count(b"HTTP/1.1 ") == 1
            assert b"RID-late" in answers


def test_an_offer_of_another_protocol_is_refused_for_its_body_would_be_lost(server):
    offer = b"Connection: Upgrade\r\nUpgrade: h2c\r\n"
    with connect(server) as connection:
        connection.sendall(WHOLE.replace(b"\r\n\r\n", b"\r\n" + offer + b"\r\n"))
        assert_refused(all_that_comes(connection), 400, "MalformedHttpRequestException")


def test_a_client_that_rested_for_long_goes_on(impatient):
    keys = {"aws_access_key_id": "any", "aws_secret_access_key": "any", "region_name": "eu-west-1"}
    client = boto3.client("personalize-runtime", endpoint_url=impatient.url, **keys)
    for _ in range(2):
        assert client.get_recommendations(userId="1")["recommendationId"] == "RID-1"
        time.sleep(1.5)


def test_nobody_is_kept_out_by_those_who_ask_nothing(router, allow_loopback, monkeypatch):
    monkeypatch.setattr(LimitedProtocol, "max_connections", 8)
    with LocalServer(router=router) as server:
        busy = connect(server)
        busy.sendall(WHOLE)
        assert busy.recv(1000).startswith(b"HTTP/1.1 200 ")
        silent = [connect(server) for _ in range(40)]
        for connection in silent[::2]:
            connection.sendall(HEAD)
        with connect(server) as connection:
            connection.sendall(WHOLE)
            assert connection.recv(1000).startswith(b"HTTP/1.1 200 ")
        assert len(server._server.server_state.connections) <= 9
        for connection in (*silent, busy):
            connection.close()


def test_some_requests_may_be_pipelined_and_are_answered_in_their_order(server):
    asked = [WHOLE.replace(b'"1"', b'"%d"' % number) for number in range(1, 9)]
    with connect(server) as connection:
        connection.sendall(
            b"".join(asked[:-1]) + asked[-1].replace(b"\r\n", b"\r\nConnection: close\r\n", 1)
        )
        answers = all_that_comes(connection)
    places = [answers.index(b'"itemId":"%d"' % number) for number in range(1, 9)]
    assert places == sorted(places)
    assert answers.count(b"HTTP/1.1 200 ") == 8


def test_nobody_piles_up_requests(make_router, allow_loopback):
    may_answer, asked = threading.Event(), []

    class WaitingRouter:
        home = make_router().home

        def call(self, *_, **__):
            asked.append(1)
            may_answer.wait(20)
            return {}

    with LocalServer(router=WaitingRouter()) as server, connect(server) as connection:
        connection.settimeout(2)
        sent = flood(connection, iter(lambda: WHOLE * 50, None))
        may_answer.set()
        assert sent < 15_000_000  # in the system's buffers: none of it is parsed
    assert len(asked) <= MAX_PIPELINED + 1


def test_a_client_that_takes_no_answers_is_hung_up_on(impatient):
    with connect(impatient) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        long = WHOLE.replace(b'"1"}', b'"1", "numResults": 500}').replace(b": 15\r", b": 34\r")
        body = long.partition(b"\r\n\r\n")[2]
        assert len(body) == 34
        began = time.monotonic()
        try:
            while time.monotonic() < began + 20:
                connection.sendall(long * 10)
        except OSError:
            pass
        assert time.monotonic() < began + 15


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",  # TLS
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"\x00" * 100,
        HEAD + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n{}",
        HEAD + b"Content-Length: 99999999999999999999999\r\n\r\n",
        HEAD + b"Content-Length: -1\r\n\r\n",
        HEAD + b"Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n{}",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
        HEAD + b"A header without a colon\r\n\r\n",
        HEAD + b"X-A: \x00\r\n\r\n",
        b"POST http:// HTTP/1.1\r\n\r\n",
        b"CONNECT 127.0.0.1:80 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
        "POST /ሴ HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode(),  # escaped on every wire
        HEAD + b"X-A: a\r\n b\r\n\r\n",  # a value of two lines
        b"OPTIONS * HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
    ],
)
def test_what_is_not_a_request_gets_a_typed_400(server, sent):
    with connect(server) as connection:
        connection.sendall(sent)
        connection.shutdown(socket.SHUT_WR)
        answer = all_that_comes(connection)
    assert answer[:10] in (b"HTTP/1.1 4", b"")
    if answer:
        assert b"x-amzn-errortype: " in answer.lower()


@pytest.mark.parametrize(
    "path", ["/%E1%88%B4", "/%ff", "/%", "/events/../recommendations", "//events"]
)
def test_a_path_of_any_bytes_is_no_operation(server, path):
    with connect(server) as connection:
        connection.sendall(WHOLE.replace(b"/recommendations", path.encode()))
        answer = connection.recv(1000)
    assert answer.startswith(b"HTTP/1.1 404 ")
    assert b"UnknownOperationException" in answer


def test_a_stranger_is_refused_before_his_body_comes(router, allow_loopback):
    known = {"AKIDEXAMPLE": Credentials("AKIDEXAMPLE", "secret")}
    with (
        LocalServer(router=router, verifier=SignatureVerifier(known)) as server,
        connect(server) as connection,
    ):
        connection.sendall(HEAD + b"Content-Length: 1000000\r\n\r\n")
        assert connection.recv(1000).startswith(b"HTTP/1.1 403 ")


def test_the_server_ends_without_those_who_have_not_asked(router, allow_loopback):
    with LocalServer(router=router) as server:
        halves = [connect(server) for _ in range(5)]
        for connection in halves:
            connection.sendall(HEAD + b"Content-Length: 9\r\n\r\n{")
        deadline = time.monotonic() + 20
        while len(server._server.server_state.connections) < 5:
            assert time.monotonic() < deadline
            time.sleep(0.01)
    assert not server._thread.is_alive()
    for connection in halves:
        assert connection.recv(1) == b""
        connection.close()


def test_the_limits_are_those_that_the_page_names():
    assert (http_limits.MAX_HEADER_BYTES, http_limits.ARRIVAL_SECONDS) == (65_536, 30.0)
