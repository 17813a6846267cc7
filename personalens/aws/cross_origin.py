"""Which web pages may use the server through their visitors' browsers (CORS).

A browser lets any page send requests to a server on the visitor's own machine. So a request that
names an origin is answered only if that origin is admitted: pages served from this machine are,
others where the server was started with ``--allow-origin``. A page opened as a file, and a frame
that some site has sandboxed, both have the origin ``null``: it has to be allowed by name. Clients
that are no browsers name no origin, and are not concerned.

References
----------
Fetch standard, "CORS protocol" (fetch.spec.whatwg.org); AWS SDK for JavaScript v3, which sends
``authorization``, ``content-type``, ``amz-sdk-*`` and ``x-amz-*`` and reads the error type and the
request id from response headers.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from personalens.service_errors import ServiceError

_LOOPBACK_ORIGIN = re.compile(r"https?://(localhost|127\.0\.0\.1|\[::1\])(:\d+)?")
_HEADER_NAMES = re.compile(r"[\w ,-]*", re.ASCII)
_READABLE = "x-amzn-RequestId, x-amzn-ErrorType, Date"
_PREFLIGHT_SECONDS = 600


class OriginNotAllowed(ServiceError):
    """A web page that has no business here."""

    code = "AccessDeniedException"
    http_status = 403


class OriginRule:
    """Admits the origins of this machine and those of ``allowed``; ``*`` stands for all.

    >>> OriginRule().response_headers("http://localhost:5173")["Access-Control-Allow-Origin"]
    'http://localhost:5173'
    >>> OriginRule().check("https://shop.example")
    Traceback (most recent call last):
    ...
    personalens.aws.cross_origin.OriginNotAllowed: Pages of https://shop.example may not use this \
server. To allow them: personalens serve --allow-origin https://shop.example
    """

    def __init__(self, allowed: Iterable[str] = ()) -> None:
        self._allowed = frozenset(origin.rstrip("/") for origin in allowed)

    def admits(self, origin: str) -> bool:
        """Whether pages of ``origin`` may use the server."""
        is_named = {origin, "*"} & self._allowed or _LOOPBACK_ORIGIN.fullmatch(origin)
        return bool(is_named) and origin.isascii() and origin.isprintable()

    def check(self, origin: str) -> None:
        """Return if pages of ``origin`` may use the server."""
        if not self.admits(origin):
            raise OriginNotAllowed(
                f"Pages of {origin} may not use this server. To allow them: personalens serve "
                f"--allow-origin {origin}"
            )

    def response_headers(self, origin: str) -> dict[str, str]:
        """Return what lets pages of an admitted origin read the response."""
        return {
            "Access-Control-Allow-Origin": origin,
            "Access-Control-Expose-Headers": _READABLE,
            "Vary": "Origin",
        }

    def preflight_headers(self, headers: Mapping[str, str]) -> dict[str, str]:
        """Return the answer to a browser that asks beforehand; its origin is admitted."""
        asked = headers.get("access-control-request-headers", "")
        answer = {
            "Access-Control-Allow-Methods": "POST",
            "Access-Control-Allow-Headers": asked if _HEADER_NAMES.fullmatch(asked) else "",
            "Access-Control-Max-Age": str(_PREFLIGHT_SECONDS),
        }
        if "access-control-request-private-network" in headers:
            answer["Access-Control-Allow-Private-Network"] = "true"
        return answer
