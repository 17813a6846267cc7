"""The other AWS services that Personalize code calls: moto's server, behind our own checks.

AWS's sample notebooks call S3 for their data, IAM, STS and KMS for a role and a key, and SSM for
what a stack has noted. These answer here, from memory. What runs code or models inside AWS (Lambda,
Step Functions, CloudFormation, Bedrock) is left out: moto would accept a definition and run
nothing. So is CloudWatch: the metrics that a notebook would ask it for are not written there.

moto's server lets every web page in (``Access-Control-Allow-Origin: *``), and has pages of its own
that show, record and erase everything. So no request reaches it that a foreign page may have sent,
known by its origin or by a foreign name of this machine, and none for moto's own pages.
"""

from __future__ import annotations

import contextlib
import os
import re
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit
from xml.sax.saxutils import escape

from personalens.aws.cross_origin import OriginNotAllowed, OriginRule
from personalens.environment import environment

SERVICES = ("S3", "IAM", "STS", "KMS", "SSM")
_SETTINGS = {
    "AWS_ACCESS_KEY_ID": "personalens",
    "AWS_SECRET_ACCESS_KEY": "personalens",
    "MOTO_IAM_LOAD_MANAGED_POLICIES": "true",  # AmazonPersonalizeFullAccess and its like
}
_LOOPBACK_NAME = re.compile(r"(127\.0\.0\.1|\[::1\]|([\w-]+\.)*localhost)(:\d+)?", re.IGNORECASE)
_OWN_PAGES = re.compile(r"/*moto-api", re.IGNORECASE)
_METHODS = "GET, HEAD, PUT, POST, DELETE"

WsgiApplication = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


@contextlib.contextmanager
def aws_stand_ins(origins: Iterable[str] = ()) -> Iterator[str]:
    """Run moto's server on the loopback address, for pages of ``origins`` too; yield its URL.

    This process and those that it starts are pointed there, so that imports find what was uploaded.
    """
    from moto.moto_server.werkzeug_app import (
        DomainDispatcherApplication,
        MotoRequestHandler,
        create_backend_app,
    )
    from werkzeug.serving import make_server

    guarded = GuardedApplication(
        DomainDispatcherApplication(create_backend_app), OriginRule(origins)
    )
    server = make_server("127.0.0.1", 0, guarded, threaded=True, request_handler=MotoRequestHandler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    url = f"http://127.0.0.1:{server.server_port}"
    endpoints = {f"AWS_ENDPOINT_URL_{service}": url for service in SERVICES}
    missing = {name: value for name, value in _SETTINGS.items() if name not in os.environ}
    try:
        with environment(missing | endpoints):
            yield url
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class GuardedApplication:
    """Lets no request of a foreign web page through to a WSGI application, and passes on nothing
    that the application says about origins (CORS)."""

    def __init__(self, application: WsgiApplication, origins: OriginRule) -> None:
        self._application, self._origins = application, origins

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        origin = environ.get("HTTP_ORIGIN")
        try:
            self._check(environ, origin)
        except OriginNotAllowed as error:
            return _refusal(start_response, str(error))
        allowed = {}
        if origin is not None:
            allowed = self._origins.response_headers(origin)
            allowed["Access-Control-Expose-Headers"] = "*"
        asks = "HTTP_ACCESS_CONTROL_REQUEST_METHOD" in environ
        if asks and environ["REQUEST_METHOD"] == "OPTIONS":
            names = {
                key.removeprefix("HTTP_").lower().replace("_", "-"): value
                for key, value in environ.items()
                if key.startswith("HTTP_ACCESS_CONTROL_")
            }
            allowed |= self._origins.preflight_headers(names)
            allowed["Access-Control-Allow-Methods"] = _METHODS
            start_response("204 No Content", list(allowed.items()))
            return []

        def start(status: str, headers: list[tuple[str, str]], *more: Any) -> Any:
            kept = [pair for pair in headers if not pair[0].lower().startswith("access-control-")]
            return start_response(status, [*kept, *allowed.items()], *more)

        return self._application(environ, start)

    def _check(self, environ: Mapping[str, Any], origin: str | None) -> None:
        """Refuse what comes by a foreign name, from a foreign page, or for moto's own pages."""
        if not _LOOPBACK_NAME.fullmatch(environ.get("HTTP_HOST", "")):
            raise OriginNotAllowed("This server answers as 127.0.0.1 and localhost only.")
        if _OWN_PAGES.match(environ.get("PATH_INFO", "")):
            raise OriginNotAllowed("The pages of moto that show, record and erase are turned off.")
        if origin is None and environ.get("HTTP_SEC_FETCH_SITE") in ("cross-site", "same-site"):
            # A picture, a script, a link: browsers name no origin then, but mostly the page.
            page = urlsplit(environ.get("HTTP_REFERER", ""))
            origin = f"{page.scheme}://{page.netloc}" if page.netloc else "null"
        if origin is not None:
            self._origins.check(origin)


def _refusal(start_response: Callable[..., Any], message: str) -> Iterable[bytes]:
    text = f"<Error><Code>AccessDenied</Code><Message>{escape(message)}</Message></Error>".encode()
    headers = [("Content-Type", "application/xml"), ("Content-Length", str(len(text)))]
    start_response("403 Forbidden", headers)
    return [text]
