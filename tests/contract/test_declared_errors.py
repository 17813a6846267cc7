"""Every error that a service model declares for an operation is provoked, or said to be impossible.

The pairs come from botocore's models, so none can be forgotten. Each is provoked by the operation's
valid request with one thing changed, in the request or in the account, and must change nothing.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from personalens.aws.service_models import SERVICES, Operation, operations
from personalens.control.operations.kinds import KINDS
from personalens.service_errors import ServiceError
from tests.contract.account import Account, valid_requests
from tests.contract.violations import violations

Request = dict[str, Any]
ALL = {operation.name: operation for s in SERVICES for operation in operations(s).values()}
PAIRS = sorted({(name, error.name) for name in ALL for error in ALL[name].model.error_shapes})
_ANY_STATE = "Tags are read and changed in every state of a resource."
_ONE = "A group holds one, and the second is refused as ResourceAlreadyExistsException."
NOT_HERE = {
    ("ListTagsForResource", "ResourceInUseException"): _ANY_STATE,
    ("TagResource", "ResourceInUseException"): _ANY_STATE,
    ("UntagResource", "ResourceInUseException"): _ANY_STATE,
    ("TagResource", "LimitExceededException"): "In AWS it limits requests a second.",
    ("CreateDataset", "LimitExceededException"): _ONE,
    ("CreateEventTracker", "LimitExceededException"): _ONE,
    ("CreateMetricAttribution", "LimitExceededException"): _ONE,
    ("CreateDatasetExportJob", "LimitExceededException"): "No quota of export jobs is documented.",
    ("UpdateSolution", "LimitExceededException"): "No quota that an update meets is documented.",
}
"""Pairs that one machine cannot provoke, each with its reason."""


def invalid(account: Account, operation: Operation, valid: Request) -> Request:
    return next(violations(operation.model.input_shape, valid))[1]


def forged(account: Account, operation: Operation, valid: Request) -> Request:
    return valid | {"nextToken": "forged"}


def missing(account: Account, operation: Operation, valid: Request) -> Request:
    """Name a resource that does not exist: the first one of the request."""
    member = resource_member(valid)
    return valid | {member: valid[member] + "-missing"}


def repeated(account: Account, operation: Operation, valid: Request) -> Request:
    """Make the same thing before."""
    getattr(account.service, operation.method)(**valid)
    return valid


def too_many_tags(account: Account, operation: Operation, valid: Request) -> Request:
    return valid | {"tags": [{"tagKey": f"k{n}", "tagValue": "v"} for n in range(51)]}


def too_many_keys(account: Account, operation: Operation, valid: Request) -> Request:
    return valid | {"tagKeys": [f"k{n}" for n in range(51)]}


def in_transition(account: Account, operation: Operation, valid: Request) -> Request:
    """Catch the resource that the request names while it is being made."""
    with account.service.context.store.transaction() as tx:
        tx.update(valid[resource_member(valid)], status="CREATE IN_PROGRESS")
    return valid


def crowded(account: Account, operation: Operation, valid: Request) -> Request:
    """Fill the account with as many of the kind as AWS allows."""
    kind = _kind_of(operation)
    getattr(account.service, operation.method)(**valid)
    with account.service.context.store.transaction() as tx:
        last = tx.list(kind)[-1]
        quota = KINDS[kind].quota
        status = last.status if quota.statuses is None else quota.statuses[0]
        for number in range(quota.most):
            arn = f"{last.arn}{number}"
            tx.insert(replace(last, arn=arn, name=f"more-{number}", status=status))
    return valid | {name: "third" for name in ("name", "jobName") if name in valid}


def while_its_group_is_made(account: Account, operation: Operation, valid: Request) -> Request:
    return in_transition(account, operation, {"datasetGroupArn": valid["datasetGroupArn"]}) | valid


def while_a_job_uses_it(account: Account, operation: Operation, valid: Request) -> Request:
    with account.service.context.store.transaction() as tx:
        tx.update(account.inference_job, status="CREATE PENDING", filterArn=valid["filterArn"])
    return valid


def while_a_dataset_uses_it(account: Account, operation: Operation, valid: Request) -> Request:
    return {"schemaArn": account.films_users_schema}


def while_it_stops(account: Account, operation: Operation, valid: Request) -> Request:
    with account.service.context.store.transaction() as tx:
        tx.update(valid["solutionVersionArn"], status="CREATE STOPPING")
    return valid


def while_the_tracked_dataset_changes(
    account: Account, operation: Operation, valid: Request
) -> Request:
    in_transition(account, operation, {"datasetArn": account.films_action_interactions})
    return valid


def with_an_unknown_tracker(account: Account, operation: Operation, valid: Request) -> Request:
    return valid | {"trackingId": "no-such-tracker"}


def with_a_name_that_is_taken(account: Account, operation: Operation, valid: Request) -> Request:
    return repeated(account, operation, valid | {"name": "third"})


SCENARIOS = {
    "InvalidInputException": invalid,
    "InvalidNextTokenException": forged,
    "ResourceNotFoundException": missing,
    "ResourceAlreadyExistsException": repeated,
    "ResourceInUseException": in_transition,
    "LimitExceededException": crowded,
    "TooManyTagsException": too_many_tags,
    "TooManyTagKeysException": too_many_keys,
}

SPECIAL = {
    ("CreateDataset", "ResourceInUseException"): while_its_group_is_made,
    ("CreateSolutionVersion", "ResourceAlreadyExistsException"): with_a_name_that_is_taken,
    ("DeleteFilter", "ResourceInUseException"): while_a_job_uses_it,
    ("DeleteSchema", "ResourceInUseException"): while_a_dataset_uses_it,
    ("StopSolutionVersionCreation", "ResourceInUseException"): while_it_stops,
    ("PutActionInteractions", "ResourceInUseException"): while_the_tracked_dataset_changes,
    ("PutActionInteractions", "ResourceNotFoundException"): with_an_unknown_tracker,
}
"""Where an error has a scenario of its own for one operation."""


def resource_member(request: Request) -> str:
    return next(name for name in request if name.endswith("Arn") and name != "roleArn")


def _kind_of(operation: Operation) -> str:
    return operation.method.removeprefix("create_").replace("_", "-")


@pytest.mark.parametrize("pair", [p for p in PAIRS if p not in NOT_HERE], ids="-".join)
def test_a_declared_error_is_provoked(pair, account: Account, monkeypatch):
    operation, error = ALL[pair[0]], pair[1]
    if error == "LimitExceededException":
        monkeypatch.setenv("PERSONALENS_QUOTAS", "on")
    scenario = SPECIAL.get(pair, SCENARIOS[error])
    request = scenario(account, operation, valid_requests(account)[operation.name])
    before = account.state()
    with pytest.raises(ServiceError) as refused:
        getattr(account.service, operation.method)(**request)
    assert (refused.value.code, account.state() == before) == (error, True), refused.value
    assert len(refused.value.message) > 20


def test_only_declared_pairs_are_excused():
    assert set(NOT_HERE) <= set(PAIRS)
