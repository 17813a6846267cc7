"""The three services over HTTP, for every client that does not live in this process.

boto3, the AWS CLI and the AWS SDKs connect unmodified when ``AWS_ENDPOINT_URL_PERSONALIZE``,
``AWS_ENDPOINT_URL_PERSONALIZE_RUNTIME`` and ``AWS_ENDPOINT_URL_PERSONALIZE_EVENTS`` (or a client's
``endpoint_url``) name this server. It answers through the same gateway as the in-process client.

On the loopback address any credentials will do. So that no web page the learner visits can use the
server through their browser, it takes requests for loopback names only, none without a JSON content
type, which a page cannot send across origins unasked, and answers pages of admitted origins only
(:mod:`personalens.aws.cross_origin`). For other addresses there are signatures to be verified
(:mod:`personalens.aws.signatures`).

An ASGI application without a framework: a request is one dictionary look-up away from its
operation, and routing it twice would cost more than answering it. Needs the ``server`` extra.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
import sys
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import uvicorn

import personalens
from personalens.arns import DEFAULT_REGION
from personalens.aws.cross_origin import OriginRule
from personalens.aws.http_limits import LimitedProtocol, RefusedRequest
from personalens.aws.metrics import CONTENT_TYPE, ServerMetrics
from personalens.aws.operation_router import (
    OperationRouter,
    WireRequest,
    answer,
    is_quick,
    unforeseen,
)
from personalens.aws.service_models import RUNTIME, SERVICES, Operation, find_by_request, operations
from personalens.aws.signatures import Admission, SignatureVerifier
from personalens.aws.wire_json import WireResponse, render_error
from personalens.service_errors import ServiceError

log = logging.getLogger(__name__)
access_log = logging.getLogger("personalens.access")

LOOPBACK_HOSTS = ("127.0.0.1", "localhost", "[::1]")
MAX_BODY_BYTES = 2 * 1024 * 1024
"""Above the largest valid request, ten items with every character of their properties escaped."""

HEALTH_PATH = "/_personalens/health"
METRICS_PATH = "/_personalens/metrics"
"""With credentials it has to be signed like everything else."""
_JSON_TYPES = ("application/json", "application/x-amz-json-1.1", "application/x-amz-json-1.0")
_RUNTIME_PATHS = {each.model.http["requestUri"] for each in operations(RUNTIME).values()}
_CREDENTIAL_SCOPE = re.compile(r"Credential=[^/,]+/\d{8}/(?P<region>[a-z0-9-]+)/")
_THREADS = 40
"""As many requests wait for the disk or for a computation at the same time; the others queue."""

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class _ClientGone(Exception):
    """The client has hung up before the request was whole: nothing of it is done."""


class ServiceApplication:
    """The ASGI application that answers the three services from one home.

    The server may be addressed by ``allowed_hosts`` only (the ``Host`` header; ``"*"`` for all).
    Without a verifier any credentials will do, or none. A body above ``max_body_bytes`` is refused,
    with status 413, before it is read whole.
    """

    def __init__(
        self,
        router: OperationRouter,
        *,
        allowed_hosts: Sequence[str] = LOOPBACK_HOSTS,
        origins: OriginRule | None = None,
        verifier: SignatureVerifier | None = None,
        max_body_bytes: int = MAX_BODY_BYTES,
    ) -> None:
        self._router = router
        self._hosts = frozenset(allowed_hosts)
        self._origins = origins or OriginRule()
        self._verifier = verifier
        self._max_body_bytes = max_body_bytes
        self._threads = ThreadPoolExecutor(_THREADS, "personalens-request")
        self._metrics = ServerMetrics(router.home)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request. Every response has a request id, and every request a log line."""
        began = time.perf_counter()
        request_id = str(uuid.uuid4())
        headers = read_headers(scope["headers"])
        try:
            response = await self._respond(scope, headers, receive, request_id)
        except _ClientGone:
            return
        except ServiceError as error:
            response = render_error(error, request_id, is_control="x-amz-target" in headers)
            if isinstance(error, RefusedRequest):  # HTTP's own status, in either protocol
                response.status = error.http_status
        except Exception as error:
            log.exception("%s %s failed, request %s", scope["method"], scope["path"], request_id)
            response = render_error(unforeseen(error, request_id), request_id, is_control=False)
        response.headers.setdefault("x-amzn-RequestId", request_id)
        if (origin := headers.get("origin")) and self._origins.admits(origin):
            response.headers.update(self._origins.response_headers(origin))
        sent = [
            (name.lower().encode("latin-1"), value.encode("latin-1"))
            for name, value in response.headers.items()
        ]
        await send({"type": "http.response.start", "status": response.status, "headers": sent})
        await send({"type": "http.response.body", "body": response.body})
        self._note(scope, headers, request_id, response.status, time.perf_counter() - began)

    def _note(
        self, scope: Scope, headers: Mapping[str, str], request_id: str, status: int, seconds: float
    ) -> None:
        try:
            target = headers.get("x-amz-target")
            operation = find_by_request(scope["method"], scope["path"], target)
        except ServiceError:
            operation = None
        self._metrics.note("" if operation is None else operation.name, status, seconds)
        if access_log.isEnabledFor(logging.INFO):
            _log_access(scope, operation, request_id, status, seconds)

    async def _respond(
        self, scope: Scope, headers: Mapping[str, str], receive: Receive, request_id: str
    ) -> WireResponse:
        method, path = scope["method"], scope["path"]
        self._check_sender(headers)
        if method == "OPTIONS" and "access-control-request-method" in headers:
            return WireResponse(204, self._origins.preflight_headers(headers), b"")
        if path == HEALTH_PATH and method == "GET":
            return self._health()
        admission = self._verifier.admit(headers) if self._verifier is not None else None
        if path == METRICS_PATH and method == "GET":
            self._verify(scope, headers, b"", admission)
            self._metrics.note_process()
            loop = asyncio.get_running_loop()
            text = await loop.run_in_executor(self._threads, self._metrics.text)
            return WireResponse(200, {"Content-Type": CONTENT_TYPE}, text)
        media_type = headers.get("content-type", "").partition(";")[0].strip().lower()
        if method == "POST" and media_type not in _JSON_TYPES:
            raise RefusedRequest(
                415, "UnsupportedMediaType", "Send application/json or application/x-amz-json-1.1."
            )
        body = await self._read_body(headers, receive)
        self._verify(scope, headers, body, admission)
        account = None if admission is None else admission.credentials.account_id
        request = WireRequest(method, path, headers, body, _region(headers), account)
        return await self._answer(request, request_id)

    def _verify(
        self, scope: Scope, headers: Mapping[str, str], body: bytes, admission: Admission | None
    ) -> None:
        if self._verifier is not None:
            path = scope.get("raw_path", scope["path"].encode()).decode("latin-1")
            query = scope["query_string"].decode("latin-1")
            self._verifier.verify(scope["method"], path, query, headers, body, admission)

    async def _answer(self, request: WireRequest, request_id: str) -> WireResponse:
        """Answer at once what the runtime has in memory, and in a thread what has to wait.

        A thread costs a request as much as half of a recommendation, but nothing that waits for the
        disk, or computes for long, may hold up the others.
        """
        if request.path in _RUNTIME_PATHS and is_quick(self._router, request):
            return answer(self._router, request, request_id)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, answer, self._router, request, request_id)

    def _check_sender(self, headers: Mapping[str, str]) -> None:
        """Refuse what comes by a foreign name, or from a foreign page."""
        host = re.sub(r":\d+$", "", headers.get("host", ""))
        if not {host, "*"} & self._hosts:
            raise RefusedRequest(
                400, "InvalidHost", f"This server answers as {', '.join(sorted(self._hosts))} only."
            )
        if origin := headers.get("origin"):
            self._origins.check(origin)

    async def _read_body(self, headers: Mapping[str, str], receive: Receive) -> bytes:
        limit, body = self._max_body_bytes, bytearray()
        announced = headers.get("content-length", "")
        is_more = True
        while is_more and len(body) <= limit and not _is_above(announced, limit):
            part = await receive()
            if part.get("type") == "http.disconnect":
                raise _ClientGone
            body += part.get("body", b"")
            is_more = part.get("more_body", False)
        if is_more:
            message = f"The request is larger than {limit} bytes."
            raise RefusedRequest(413, "RequestEntityTooLargeException", message)
        return bytes(body)

    def _health(self) -> WireResponse:
        report = {"status": "ok"}
        if self._verifier is None:  # strangers learn only that a server is there
            report |= {
                "version": personalens.__version__,
                "home": str(self._router.home.path),
                "services": list(SERVICES),
            }
        headers = {"Content-Type": "application/json"}
        return WireResponse(200, headers, json.dumps(report).encode())


def read_headers(sent: Sequence[tuple[bytes, bytes]]) -> dict[str, str]:
    """Return the headers by name; the values of several by one name joined by commas, as HTTP
    reads and SigV4 signs them, so that none is overlooked."""
    headers: dict[str, str] = {}
    for raw_name, raw_value in sent:
        name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
        headers[name] = f"{headers[name]},{value}" if name in headers else value
    return headers


def log_accesses() -> None:
    """Write a line for each request to the standard error stream of this process."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(message)s"))
    access_log.addHandler(handler)
    access_log.propagate = False
    access_log.setLevel(logging.INFO)


def _log_access(
    scope: Scope, operation: Operation | None, request_id: str, status: int, seconds: float
) -> None:
    """A request that asks for no operation has its path instead of service and operation. What was
    sent and answered is not written, nor are credentials."""
    if operation is not None:
        asked = {"service": operation.service, "operation": operation.name}
    else:
        asked = {"method": scope["method"], "path": scope["path"]}
    line = {
        "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "requestId": request_id,
        **asked,
        "status": status,
        "ms": round(1000 * seconds, 2),
    }
    access_log.info(json.dumps(line))


def _is_above(announced: str, limit: int) -> bool:
    """Whether a Content-Length is a larger number, however many digits it has."""
    return announced.isascii() and announced.isdigit() and float(announced) > limit


def _region(headers: Mapping[str, str]) -> str:
    """Return the region that the client signed for; the default where it signed nothing."""
    scope = _CREDENTIAL_SCOPE.search(headers.get("authorization", ""))
    return scope["region"] if scope else DEFAULT_REGION


def server_config(app: Any, **options: Any) -> uvicorn.Config:
    """Return uvicorn's configuration for ``app``: quiet, and without what is not used."""
    return uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        http=LimitedProtocol,
        lifespan="off",
        ws="none",
        date_header=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=30,
        **options,
    )
