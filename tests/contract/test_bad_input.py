"""Input that no model forbids and the service must: foreign ARNs, climbing paths, broken bodies.

Each is refused with a typed error that says what to do, and changes nothing. What the models do
forbid is tried in ``test_model_constraints.py``, wrong states and taken names in
``test_declared_errors.py``.
"""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable
from contextlib import closing, suppress

import pytest

from personalens import arns
from personalens.aws.operation_router import OperationRouter
from personalens.aws.service_models import SERVICES, Operation, operations
from personalens.service_errors import InvalidInputException, ServiceError
from tests.contract.account import ROLE, Account, valid_requests
from tests.contract.generated_requests import headers
from tests.local_server import LocalServer

ALL = [operation for service in SERVICES for operation in operations(service).values()]
LISTS_BY = "List"
"""A listing by a parent that is not there is empty, and no error."""
UNCHECKED = {"roleArn", "kmsKeyArn"}
"""Nobody looks for these on one machine."""


def named_resources(request: dict[str, object]) -> list[str]:
    return [name for name in request if name.endswith("Arn") and name not in UNCHECKED]


def outcome(call: Callable[..., dict], request: dict[str, object]) -> dict | ServiceError:
    try:
        return call(**request)
    except ServiceError as error:
        return error


@pytest.mark.parametrize("operation", ALL, ids=lambda operation: operation.name)
def test_foreign_arns_name_nothing_here(operation: Operation, built_account: Account):
    valid = valid_requests(built_account)[operation.name]
    call = getattr(built_account.service, operation.method)
    before = built_account.state()
    for member in named_resources(valid):
        own = arns.parse(valid[member])
        other = "filter" if own.kind != "filter" else "schema"
        foreign = [
            valid[member].replace(":us-east-1:", ":eu-west-1:"),
            valid[member].replace(":123456789012:", ":210987654321:"),
            built_account.filter if other == "filter" else built_account.films_users_schema,
        ]
        for arn in foreign:
            if arn == valid[member]:  # what AWS owns has neither region nor account
                continue
            answer = outcome(call, valid | {member: arn})
            if isinstance(answer, ServiceError):
                assert answer.code in ("ResourceNotFoundException", "InvalidInputException"), arn
                assert len(answer.message) > 20
                continue
            is_own = member == "resourceArn" and arn == foreign[2]  # any kind can have tags
            assert operation.name.startswith(LISTS_BY) or is_own, f"took {arn}"
            lists = [value for value in answer.values() if isinstance(value, list)]
            assert is_own or not any(lists), f"{arn} lists something"
    if operation.name not in ("TagResource", "UntagResource"):
        assert built_account.state() == before


@pytest.mark.parametrize(
    "climbing", ["{home}/../home/datasets/", "file://{home}/models/x/../../", "../out/", "{home}/"]
)
@pytest.mark.parametrize("name", ["CreateBatchInferenceJob", "CreateDatasetExportJob"])
def test_jobs_do_not_write_into_the_home(name: str, climbing: str, account: Account):
    path = climbing.format(home=account.home.path)
    request = valid_requests(account)[name] | {"jobOutput": {"s3DataDestination": {"path": path}}}
    operation = operations("personalize")[name]
    before = account.state()
    with pytest.raises(InvalidInputException) as refused:
        getattr(account.service, operation.method)(**request)
    assert path in refused.value.message
    assert account.state() == before


def test_an_import_reads_no_file_that_is_no_table(account: Account):
    for number, path in enumerate([f"{account.home.path}/../../x.csv", "/dev/zero", "/etc/"]):
        job = account.service.create_dataset_import_job(
            jobName=f"climbing-{number}",
            datasetArn=account.films_users,
            dataSource={"dataLocation": path},
            roleArn=ROLE,
        )["datasetImportJobArn"]
        described = account.service.describe_dataset_import_job(datasetImportJobArn=job)
        assert described["datasetImportJob"]["status"] == "CREATE FAILED"
        assert path in described["datasetImportJob"]["failureReason"]


BODIES = {
    "no JSON": b"{nonsense",
    "no object": b"[1, 2]",
    "not UTF-8": b'{"name": "\xff\xfe"}',
    "half a surrogate pair": b'{"nextToken": "\\ud800", "userId": "\\ud800", "name": "\\ud800"}',
    "NaN": b'{"maxResults": NaN, "numResults": NaN, "minProvisionedTPS": NaN}',
    "infinity": b'{"maxResults": Infinity, "numResults": -Infinity}',
    "deeply nested": b"[" * 100_000,
    "two megabytes and a byte": b" " * (2 * 1024 * 1024 + 1),
    "ten megabytes": b" " * (10 * 1024 * 1024),
}


def test_broken_bodies_are_refused_by_every_operation(built_account: Account):
    context = built_account.service.context
    router = OperationRouter(built_account.home, open_context=lambda home, region: context)
    before = built_account.state()
    with LocalServer(router=router) as server:
        for operation in ALL:
            for what, body in BODIES.items():
                if len(body) > 200_000 and operation.name not in ("CreateSchema", "PutEvents"):
                    continue  # refused before anybody looks for the operation
                status, error = ask(server, operation, body)
                assert 400 <= status < 500, (operation.name, what)
                expected = "RequestEntityTooLargeException" if len(body) > 200_000 else None
                assert error in (expected, "SerializationException", "InvalidInputException"), what
    assert built_account.state() == before


def ask(server: LocalServer, operation: Operation, body: bytes) -> tuple[int, str]:
    """Send a body; return the status and the type of the error."""
    connection = http.client.HTTPConnection(server.url.removeprefix("http://"), timeout=60)
    with closing(connection):
        path = operation.model.http["requestUri"]
        with suppress(BrokenPipeError, ConnectionResetError):  # answered before it was all sent
            connection.request("POST", path, body, headers(operation))
        answer = connection.getresponse()
        document = json.loads(answer.read() or "{}")
        return answer.status, answer.headers["x-amzn-ErrorType"] or document.get("__type")
