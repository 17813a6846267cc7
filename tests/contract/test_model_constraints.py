"""Every constraint of the service models is kept, and a refused request changes nothing.

botocore's client checks only what is required, the types and the minima: the rest is the server's.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from personalens.aws.service_models import SERVICES, Operation, operations
from personalens.service_errors import InvalidInputException
from tests.aws.coverage import operation_coverage
from tests.contract.account import Account, valid_requests
from tests.contract.violations import violations

OPERATIONS = [
    operation
    for service in SERVICES
    for operation in operations(service).values()
    if operation_coverage()[service][operation.name]
]
OF_NO_USE = {
    "StopSolutionVersionCreation": "only a version that is CREATE PENDING",
    "StartRecommender": "only a recommender that is INACTIVE",
}
"""What an account whose work is done refuses, and why."""


def test_every_operation_has_a_valid_request(built_account: Account):
    known = {name for service in SERVICES for name in operations(service)}
    assert known - set(valid_requests(built_account)) == set()


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.name)
def test_the_valid_request_is_answered(operation: Operation, account: Account):
    call = getattr(account.service, operation.method)
    if operation.name in OF_NO_USE:
        with pytest.raises(InvalidInputException, match=OF_NO_USE[operation.name]):
            call(**valid_requests(account)[operation.name])
    else:
        call(**valid_requests(account)[operation.name])  # holds the answer against its shape


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.name)
def test_every_constraint_is_kept(operation: Operation, built_account: Account):
    valid = valid_requests(built_account)[operation.name]
    call = getattr(built_account.service, operation.method)
    before = built_account.state()
    for what, params in violations(operation.model.input_shape, valid):
        place = what.partition(":")[0]
        message = refusal(call, params)
        assert message is not None, f"accepted although {what}: {params}"
        assert f"at '{place}'" in message or place.endswith(("key", "KEY")), what
        assert "Member must" in message, what
    assert built_account.state() == before


def refusal(call: Callable[..., object], params: dict[str, object]) -> str | None:
    """Return the message with which a request is refused as invalid, or None."""
    try:
        call(**params)
    except InvalidInputException as error:
        return str(error)
    return None
