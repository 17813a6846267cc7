"""The three services over HTTP, inside a test."""

from __future__ import annotations

import socket
import threading
from typing import Any

import uvicorn

from personalens.aws.http_server import ServiceApplication, server_config
from personalens.aws.operation_router import OperationRouter
from personalens.home import Home

_SHUTDOWN_SECONDS = 10


class LocalServer:
    """The services on a loopback port, in a thread, for the length of a ``with`` block, in which
    clients connect to its ``url``. Port 0 takes any that is free."""

    def __init__(
        self,
        home: Home | None = None,
        *,
        port: int = 0,
        router: OperationRouter | None = None,
        **options: Any,
    ) -> None:
        self._port = port
        app = ServiceApplication(router or OperationRouter(home), **options)
        self._server = uvicorn.Server(server_config(app))

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
