"""Whatever a client sends, it gets a result or a typed error, soon, and the home stays whole."""

from __future__ import annotations

import http.client
import json
from contextlib import closing
from dataclasses import replace

import pytest
from hypothesis import given, settings

from personalens.aws.operation_router import OperationRouter
from personalens.aws.service_models import Operation
from personalens.cli.home_examination import examine_home
from personalens.storage.job_queue import JobQueue
from personalens.storage.resource_store import ResourceStore
from tests.conftest import check_shape
from tests.contract.account import Account
from tests.contract.generated_requests import RequestMaker, headers
from tests.local_server import LocalServer

SECONDS = 30
"""More than any answer takes, on a busy machine too."""

BEFORE_THE_OPERATION = {"SerializationException", "InvalidInputException"}
"""Errors of a request that no operation gets to see, whether its model declares them or not."""


def ask(url: str, operation: Operation, body: bytes):
    """Send a request; return the status, the type of the error and the document."""
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=SECONDS)
    with closing(connection):
        connection.request("POST", operation.model.http["requestUri"], body, headers(operation))
        answer = connection.getresponse()
        document = json.loads(answer.read() or "{}")
    return answer.status, answer.headers["x-amzn-ErrorType"] or document.get("__type"), document


@pytest.mark.timeout(3_600)  # for the ten thousand
def test_no_request_breaks_the_service(account: Account):
    context = account.service.context
    waiting = replace(context, jobs=JobQueue(account.home, ResourceStore(account.home)))
    router = OperationRouter(account.home, open_context=lambda home, region: waiting)
    with LocalServer(router=router) as server:
        sent = 0

        @given(RequestMaker(account).requests())
        def send(request: tuple[Operation, bytes]) -> None:
            nonlocal sent
            sent += 1
            operation, body = request
            status, error, document = ask(server.url, operation, body)
            if status == 200:
                if operation.model.output_shape is not None:
                    check_shape(document, operation.model.output_shape, operation.name)
            else:
                declared = {shape.name for shape in operation.model.error_shapes}
                assert status < 500, document
                assert error in declared | BEFORE_THE_OPERATION, document

        send()
    assert sent >= settings().max_examples
    assert [finding for finding in examine_home(account.home) if not finding.is_ok] == []
