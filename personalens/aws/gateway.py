"""One HTTP request in, one response out: what both transports share."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Mapping
from dataclasses import dataclass

from personalens.arns import DEFAULT_REGION
from personalens.aws.operation_router import OperationRouter
from personalens.aws.service_models import find_by_request
from personalens.aws.wire_json import WireResponse, parse_params, render_error, render_result
from personalens.service_errors import ServiceError

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class WireRequest:
    """An HTTP request, whichever way it came."""

    method: str
    path: str  # without its query
    headers: Mapping[str, str]  # under lower-case names
    body: bytes
    region: str = DEFAULT_REGION


def answer(
    router: OperationRouter, request: WireRequest, request_id: str | None = None
) -> WireResponse:
    """Route ``request`` and return the response: a result or an error, never an exception.

    Only what is no ``Exception``, such as the learner's interrupt, passes through. The request id
    is made up when left out.
    """
    request_id = request_id or str(uuid.uuid4())
    target = request.headers.get("x-amz-target")
    try:
        operation = find_by_request(request.method, request.path, target)
        params = parse_params(operation, request.body)
        result = router.call(
            operation.service,
            operation.name,
            params,
            region=request.region,
            request_id=request_id,
        )
        return render_result(operation, result, request_id)
    except ServiceError as error:
        failure = error
    except Exception as error:
        log.exception("%s %s failed, request %s", request.method, request.path, request_id)
        failure = unforeseen(error, request_id)
    return render_error(failure, request_id, is_control=target is not None)


def unforeseen(error: Exception, request_id: str) -> ServiceError:
    """Return what a client is told of a defect of ours."""
    return ServiceError(
        f"PersonaLens could not answer ({type(error).__name__}: {error}). "
        f"The log holds the details under request {request_id}."
    )
