"""The access log: one line of JSON for every request that the HTTP server answers."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from personalens.aws.service_models import Operation

_log = logging.getLogger("personalens.access")


def turn_on() -> None:
    """Write the log to the standard error stream of this process."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(message)s"))
    _log.addHandler(handler)
    _log.propagate = False
    _log.setLevel(logging.INFO)


def write(
    scope: Mapping[str, Any],
    operation: Operation | None,
    request_id: str,
    status: int,
    seconds: float,
) -> None:
    """Write the line of one request: time, request id, service, operation, status and ms.

    A request that asks for no operation has its path instead of the two names. What was sent and
    answered is not written, nor are credentials.
    """
    if not _log.isEnabledFor(logging.INFO):
        return
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
    _log.info(json.dumps(line))
