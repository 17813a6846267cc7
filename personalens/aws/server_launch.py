"""Start the HTTP server: its address, its worker processes, and the variables for clients."""

from __future__ import annotations

import contextlib
import gc
import ipaddress
import json
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import prometheus_client
import uvicorn
from uvicorn.supervisors import Multiprocess

from personalens.aws import stand_ins
from personalens.aws.cross_origin import OriginRule
from personalens.aws.http_server import (
    LOOPBACK_HOSTS,
    ServiceApplication,
    log_accesses,
    server_config,
)
from personalens.aws.metrics import counting_together
from personalens.aws.operation_router import OperationRouter
from personalens.aws.signatures import SignatureVerifier, read_credentials
from personalens.environment import environment
from personalens.home import Home
from personalens.storage.object_storage import FOLDERS_VARIABLE

Announce = Callable[[str], None]

_BACKLOG = 2048
_GARBAGE_THRESHOLDS = (50_000, 20, 50)
"""Requests leave no cycles behind, and looking for some through models and botocore's shapes takes
a sixth of a recommendation at Python's own thresholds."""


@dataclass(frozen=True)
class ServerSettings:
    """How the server is to run."""

    home: Home
    host: str = "127.0.0.1"
    port: int = 0  # any that is free
    workers: int = 1  # processes that answer; they share the port and the home
    credentials: Path | None = None  # None accepts everybody: for the loopback address only
    origins: tuple[str, ...] = ()  # web pages that may use it, beside those of this machine
    access_log: bool = True
    with_s3: bool = False  # moto's server beside it, for the other services that samples call
    allow_folders: tuple[Path, ...] = ()  # for jobs; none: everywhere, or with credentials S3 alone

    @property
    def is_confined(self) -> bool:
        """Whether jobs keep to S3 and to :attr:`allow_folders`."""
        return self.credentials is not None or bool(self.allow_folders)

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach it."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False


def serve(settings: ServerSettings, announce: Announce = print) -> None:
    """Answer until SIGINT or SIGTERM, then finish the requests that have arrived.

    ValueError says what of the settings cannot be, OSError that the address is taken.
    """
    if settings.credentials is not None:
        read_credentials(settings.credentials)
    elif not settings.is_loopback:
        raise ValueError(
            f"Others can reach {settings.host}, so requests must be signed there: give "
            "--credentials FILE, which looks like ~/.aws/credentials, or leave out --host."
        )
    settings.home.create()
    with contextlib.ExitStack() as stack:
        if settings.is_confined:
            stack.enter_context(environment(_confinement(settings.allow_folders)))
        listener = stack.enter_context(_listen(settings.host, settings.port))
        url = _url(settings.host, listener.getsockname()[1])
        for service in ("PERSONALIZE", "PERSONALIZE_RUNTIME", "PERSONALIZE_EVENTS"):
            announce(f"export AWS_ENDPOINT_URL_{service}={url}")
        if settings.with_s3:
            stand_ins_url = stack.enter_context(stand_ins.aws_stand_ins(settings.origins))
            for service in stand_ins.SERVICES:
                announce(f"export AWS_ENDPOINT_URL_{service}={stand_ins_url}")
        who = "credentials of the file" if settings.credentials else "any credentials"
        announce(f"# home {settings.home.path}; {who}, and a region. Ctrl-C ends it.")
        _run(settings, listener)


def _confinement(folders: Sequence[Path]) -> dict[str, str]:
    """Return the variable by which the jobs of this process, and of those that it starts, keep to
    S3 and to folders."""
    if missing := [folder for folder in folders if not folder.is_dir()]:
        raise ValueError(f"--allow-folder {missing[0]}: there is no such folder.")
    return {FOLDERS_VARIABLE: json.dumps([str(folder.resolve()) for folder in folders])}


def make_application(settings: ServerSettings) -> ServiceApplication:
    """Return the application of one worker process, which logs if it is to."""
    gc.set_threshold(*_GARBAGE_THRESHOLDS)
    prometheus_client.disable_created_metrics()
    if settings.access_log:
        log_accesses()
    verifier = None
    if settings.credentials is not None:
        verifier = SignatureVerifier(read_credentials(settings.credentials))
    return ServiceApplication(
        OperationRouter(settings.home),
        # Beyond loopback the signature, which covers the name, protects from foreign pages.
        allowed_hosts=LOOPBACK_HOSTS if settings.is_loopback else ("*",),
        origins=OriginRule(settings.origins),
        verifier=verifier,
    )


def _run(settings: ServerSettings, listener: socket.socket) -> None:
    config = server_config(
        partial(make_application, settings), factory=True, workers=settings.workers
    )
    if settings.workers > 1:
        with counting_together():
            Multiprocess(config, sockets=[listener]).run()
    else:
        with contextlib.suppress(KeyboardInterrupt):  # uvicorn raises it again when it has finished
            uvicorn.Server(config).run(sockets=[listener])


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family, backlog=_BACKLOG)


def _url(host: str, port: int) -> str:
    """Return the address for clients: of this machine's name where all its addresses listen."""
    if host in ("0.0.0.0", "::"):
        host = socket.gethostname()
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
