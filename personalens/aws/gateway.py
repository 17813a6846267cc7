"""One HTTP request in, one response out: what both transports share."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from personalens.arns import DEFAULT_REGION
from personalens.aws.operation_router import OperationRouter
from personalens.aws.service_models import Operation, find_by_request
from personalens.aws.wire_json import WireResponse, parse_params, render_error, render_result
from personalens.service_errors import ServiceError

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class WireRequest:
    """An HTTP request, whichever way it came. Headers have lower-case names."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    region: str = DEFAULT_REGION
    account: str | None = None

    @cached_property
    def call(self) -> tuple[Operation, dict[str, Any]]:
        """The operation that is asked for, and its parameters under boto3's names."""
        operation = find_by_request(self.method, self.path, self.headers.get("x-amz-target"))
        return operation, parse_params(operation, self.body)


def answer(
    router: OperationRouter, request: WireRequest, request_id: str | None = None
) -> WireResponse:
    """Route ``request`` and return the response: a result or an error, never an exception.

    Only what is no ``Exception``, such as the learner's interrupt, passes through. The request id
    is made up when left out.
    """
    request_id = request_id or str(uuid.uuid4())
    try:
        operation, params = request.call
        result = router.call(
            operation.service,
            operation.name,
            params,
            region=request.region,
            account=request.account,
            request_id=request_id,
        )
        return render_result(operation, result, request_id)
    except ServiceError as error:
        failure = error
    except Exception as error:
        log.exception("%s %s failed, request %s", request.method, request.path, request_id)
        failure = unforeseen(error, request_id)
    return render_error(failure, request_id, is_control="x-amz-target" in request.headers)


def is_quick(router: OperationRouter, request: WireRequest) -> bool:
    """Whether :func:`answer` does not have to wait, so that an event loop may call it itself."""
    try:
        operation, params = request.call
        return router.is_quick(operation, params, request.region, request.account)
    except ServiceError:
        return True  # an answer that says what is wrong
    except Exception:
        return False


def unforeseen(error: Exception, request_id: str) -> ServiceError:
    """Return what a client is told of a defect of ours."""
    return ServiceError(
        f"PersonaLens could not answer ({type(error).__name__}: {error}). "
        f"The log holds the details under request {request_id}."
    )
