"""What anybody may hold of the server before a signature is looked at: bytes, time, connections.

uvicorn's protocol reads headers without an end, waits for the rest of a request for ever, queues
whatever is pipelined and takes every connection. :class:`LimitedProtocol` is that protocol with
limits. A client that exceeds one is answered with a typed 4xx where it can still be told, else its
connection is closed. The time limit is for a request to *arrive*; an answer may take longer.

Why uvicorn and not granian 2.8 (1 December 2026, two workers,
``python -m benchmarks.http_servers``):
uvicorn spends 281 µs of processor time on a recommendation, granian 371, and 718 to 709 on an
event. At SIGTERM granian cuts off one to three of eight requests under way, uvicorn none. granian
limits the head of a request in size and time, but neither the time that a body takes nor the number
of connections.
"""

from __future__ import annotations

import asyncio
import uuid
from http import HTTPStatus
from typing import Any

import httptools
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from personalens.aws.wire_json import render_error
from personalens.service_errors import ServiceError

MAX_HEADER_BYTES = 64 * 1024
"""For all that is not body: the request line, headers, the framing of chunks, trailers."""
ARRIVAL_SECONDS = 30.0
"""For a request to arrive whole, and for a client to take its answer."""
MAX_CONNECTIONS = 512
"""Of one worker process: half of the files that a process usually may have open."""
MAX_PIPELINED = 32
"""Requests of one connection that wait for the answer to an earlier one."""


class RefusedRequest(ServiceError):
    """A request that is refused before anybody looks for its operation."""

    def __init__(self, http_status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.http_status, self.code = http_status, code


_HEADERS_TOO_LARGE = (
    431,
    "RequestHeaderFieldsTooLargeException",
    f"The headers of a request may have {MAX_HEADER_BYTES} bytes.",
)
_MALFORMED = (400, "MalformedHttpRequestException", "What was sent is not an HTTP/1.1 request.")
_OTHER_PROTOCOL = (
    400,
    "MalformedHttpRequestException",
    "This server speaks HTTP/1.1 only. Leave out the Upgrade header.",
)


class _Flow(FlowControl):
    """Reads nothing more while requests wait in the pipeline."""

    def __init__(self, transport: asyncio.Transport, pipeline: Any) -> None:
        super().__init__(transport)
        self._pipeline = pipeline

    def resume_reading(self) -> None:
        if not self._pipeline:
            super().resume_reading()


class LimitedProtocol(HttpToolsProtocol):
    """uvicorn's protocol with the limits of this module."""

    arrival_seconds = ARRIVAL_SECONDS
    max_connections = MAX_CONNECTIONS

    # -- connections -------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.flow = _Flow(transport, self.pipeline)
        self._is_in_body = False  # of the request that is arriving
        self._surplus = 0  # bytes of the request that is arriving which are not its body
        self._asked_since: float | None = self.loop.time()  # a request is to arrive since then
        self._told_since: float | None = None  # the client has not taken its answer since then
        self._watch = self.loop.call_later(self.arrival_seconds, self._look)
        if len(self.connections) > self.max_connections:
            self._make_room()

    def _make_room(self) -> None:
        """Close the connection that has kept the server waiting longest, so that strangers who ask
        nothing do not keep others out."""
        others = [each for each in self.connections if each is not self and not each.is_answering]
        longest = min(others, key=lambda each: each.waits_since, default=self)
        longest.transport.abort()
        self.connections.discard(longest)

    @property
    def is_answering(self) -> bool:
        """Whether a request has arrived whole and its answer is not sent yet."""
        is_open = self.cycle is not None and not self.cycle.response_complete
        return bool(self.pipeline) or (is_open and not self._is_in_body)

    @property
    def waits_since(self) -> float:
        """Since when the client is to send something; those that rest between two requests count
        as the latest."""
        return self.loop.time() if self._asked_since is None else self._asked_since

    def connection_lost(self, exc: Exception | None) -> None:
        self._watch.cancel()
        super().connection_lost(exc)

    def shutdown(self) -> None:
        """Let the requests that have arrived be answered, and wait for no others."""
        if self.is_answering:
            super().shutdown()
        else:
            self.transport.close()

    # -- time --------------------------------------------------------------------------------

    def _look(self) -> None:
        # One timer for a connection, not one for each request: it goes off and looks who waits.
        now = self.loop.time()
        if self._asked_since is not None and self.is_answering:
            self._asked_since = now  # what comes behind a request is not read before its answer
        waiting = [t for t in (self._asked_since, self._told_since) if t is not None]
        left = self.arrival_seconds - (now - min(waiting, default=now))
        if self.transport.is_closing() or (left <= 0 and self._told_since is not None):
            self.transport.abort()  # close() would wait until the client takes what was written
            return
        if left <= 0:
            self.transport.close()
        self._watch = self.loop.call_later(max(left, 1.0), self._look)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._told_since = self.loop.time()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._told_since = None

    # -- bytes -------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        self._unset_keepalive_if_required()
        if self._asked_since is None:
            self._asked_since = self.loop.time()
        self._received = len(data)
        self._surplus += self._received
        try:
            self.parser.feed_data(data)
            if self._surplus > MAX_HEADER_BYTES:
                raise RefusedRequest(*_HEADERS_TOO_LARGE)
        except (httptools.HttpParserError, RefusedRequest) as error:
            refusals = [e for e in (error, error.__context__) if isinstance(e, RefusedRequest)]
            self._refuse(refusals[0] if refusals else RefusedRequest(*_MALFORMED))

    def on_message_begin(self) -> None:
        super().on_message_begin()
        if self._asked_since is None:  # it came in one piece with the end of another
            self._asked_since = self.loop.time()

    def on_headers_complete(self) -> None:
        if self._surplus + self._received > MAX_HEADER_BYTES:  # it could be, so it is counted
            size = len(self.url) + sum(len(name) + len(value) for name, value in self.headers)
            if size > MAX_HEADER_BYTES:
                raise RefusedRequest(*_HEADERS_TOO_LARGE)
        if self.parser.should_upgrade():  # the parser would leave the body out
            raise RefusedRequest(*_OTHER_PROTOCOL)
        if len(self.pipeline) >= MAX_PIPELINED:
            raise RefusedRequest(429, "TooManyRequestsException", "Not heard: an answer is owed.")
        super().on_headers_complete()
        self._is_in_body = True

    def on_body(self, body: bytes) -> None:
        self._surplus -= len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._is_in_body, self._asked_since, self._surplus = False, None, 0
        super().on_message_complete()

    # -- refusals ----------------------------------------------------------------------------

    def _refuse(self, refusal: RefusedRequest) -> None:
        """Answer the request that is arriving, if the answer's turn has come; then hang up."""
        if self.transport.is_closing():
            return
        if self._is_next_answer_for_what_arrives():
            self.transport.write(_response(refusal))
        self.transport.close()

    def _is_next_answer_for_what_arrives(self) -> bool:
        if self._is_in_body:
            cycle = self.cycle
            return not (self.pipeline or cycle.response_started) and cycle.more_body
        return not self.is_answering


def _response(refusal: RefusedRequest) -> bytes:
    response = render_error(refusal, str(uuid.uuid4()), is_control=False)
    lines = [f"HTTP/1.1 {refusal.http_status} {HTTPStatus(refusal.http_status).phrase}"]
    lines += [f"{name}: {value}" for name, value in response.headers.items()]
    return "\r\n".join([*lines, "Connection: close", "", ""]).encode() + response.body
