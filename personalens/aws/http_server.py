"""The three services over HTTP, for every client that does not live in this process.

boto3, the AWS CLI and the AWS SDKs connect unmodified when ``AWS_ENDPOINT_URL_PERSONALIZE``,
``AWS_ENDPOINT_URL_PERSONALIZE_RUNTIME`` and ``AWS_ENDPOINT_URL_PERSONALIZE_EVENTS`` (or a client's
``endpoint_url``) name this server. It answers through the same gateway as the in-process client.

It is meant for the loopback address. So that no web page the learner visits can use it through
their browser, it takes requests for loopback names only and none without a JSON content type, which
a page cannot send across origins unasked.

Needs the ``server`` extra (Starlette and uvicorn).
"""

from __future__ import annotations

import json
import re
import socket
import threading
from collections.abc import Mapping, Sequence

import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

import personalens
from personalens.arns import DEFAULT_REGION
from personalens.aws.gateway import WireRequest, answer
from personalens.aws.operation_router import OperationRouter
from personalens.aws.service_models import SERVICES
from personalens.home import Home

LOOPBACK_HOSTS = ("127.0.0.1", "localhost")
MAX_BODY_BYTES = 2 * 1024 * 1024
"""Twice the largest valid request: 500 ranked items, or a schema with every character escaped."""

_CREDENTIAL_SCOPE = re.compile(r"Credential=[^/,]+/\d{8}/(?P<region>[a-z0-9-]+)/")
_SHUTDOWN_SECONDS = 10


def create_app(
    home: Home | None = None,
    *,
    router: OperationRouter | None = None,
    allowed_hosts: Sequence[str] = LOOPBACK_HOSTS,
    max_body_bytes: int = MAX_BODY_BYTES,
) -> Starlette:
    """Return the ASGI application that answers the three services from ``home``.

    Parameters
    ----------
    home
        Default: :func:`personalens.home.default_home`.
    router
        Answers in place of a new one for ``home``.
    allowed_hosts
        Names under which the server may be addressed (``Host`` header); ``"*"`` for all.
    max_body_bytes
        A longer body is refused, with status 413, before it is read whole.
    """
    router = router or OperationRouter(home)

    async def answer_service(request: Request) -> Response:
        if "json" not in request.headers.get("content-type", ""):
            return _refusal(
                415, "UnsupportedMediaType", "Send application/json or application/x-amz-json-1.1."
            )
        body = await _read_body(request, max_body_bytes)
        if body is None:
            limit = f"The request is larger than {max_body_bytes} bytes."
            return _refusal(413, "RequestEntityTooLargeException", limit)
        wire = await run_in_threadpool(
            answer,
            router,
            WireRequest(
                request.method, request.url.path, request.headers, body, _region(request.headers)
            ),
        )
        return Response(wire.body, wire.status, wire.headers)

    async def report_health(request: Request) -> Response:
        return JSONResponse(
            {
                "status": "ok",
                "version": personalens.__version__,
                "home": str(router.home.path),
                "services": list(SERVICES),
            }
        )

    return Starlette(
        routes=[
            Route("/_personalens/health", report_health),
            Route("/{path:path}", answer_service, methods=["POST"]),
        ],
        middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=list(allowed_hosts))],
    )


async def _read_body(request: Request, limit: int) -> bytes | None:
    """Return the body, or ``None`` once it proves longer than ``limit``."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > limit:
            return None
    return bytes(body)


def _region(headers: Mapping[str, str]) -> str:
    """Return the region that the client signed for; the default where it signed nothing."""
    scope = _CREDENTIAL_SCOPE.search(headers.get("authorization", ""))
    return scope["region"] if scope else DEFAULT_REGION


def _refusal(status: int, code: str, message: str) -> Response:
    body = json.dumps({"__type": code, "message": message})
    headers = {"x-amzn-ErrorType": code, "content-type": "application/json"}
    return Response(body, status, headers)


class LocalServer:
    """The services on a loopback port, in a thread, for the length of a ``with`` block.

    Parameters
    ----------
    home
        As for :func:`create_app`.
    port
        0 takes any that is free.
    router
        As for :func:`create_app`.

    Attributes
    ----------
    url
        Where clients connect, once the block is entered: ``http://127.0.0.1:PORT``.
    """

    def __init__(
        self, home: Home | None = None, *, port: int = 0, router: OperationRouter | None = None
    ) -> None:
        self._port = port
        config = uvicorn.Config(
            create_app(home, router=router),
            log_level="warning",
            lifespan="off",
            ws="none",
            date_header=False,
            server_header=False,
        )
        self._server = uvicorn.Server(config)

    def __enter__(self) -> LocalServer:
        self._socket = socket.create_server(("127.0.0.1", self._port))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [self._socket]}, daemon=True
        )
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = True
        self._thread.join(_SHUTDOWN_SECONDS)
        self._socket.close()
