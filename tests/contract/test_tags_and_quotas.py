"""Tags and quotas of every Create operation that has them, and the soundness of what they made."""

from __future__ import annotations

from dataclasses import replace

import pytest

from personalens.aws.service_models import operations
from personalens.cli.home_examination import examine_home
from personalens.control.operations import kinds
from personalens.service_errors import (
    InvalidInputException,
    LimitExceededException,
    TooManyTagsException,
)
from tests.contract.account import Account, valid_requests

CREATES = [each for name, each in operations("personalize").items() if name.startswith("Create")]
TAGGED = [each.name for each in CREATES if "tags" in each.model.input_shape.members]
KINDS = sorted(word for word, kind in kinds.KINDS.items() if kind.quota is not None)
TAG = {"tagKey": "team", "tagValue": "films"}


def create(account, name, **members):
    """Create what a test takes for valid, and return its ARN."""
    operation = operations("personalize")[name]
    answer = getattr(account.service, operation.method)(**valid_requests(account)[name], **members)
    return next(value for member, value in answer.items() if member.endswith("Arn"))


def operation_of(kind: str) -> str:
    return "Create" + kind.title().replace("-", "")


@pytest.mark.parametrize("name", TAGGED)
def test_tags_are_put_on_what_is_created(account: Account, name):
    tagged = create(account, name, tags=[TAG])
    found = account.service.list_tags_for_resource(resourceArn=tagged)["tags"]
    assert found == [TAG]


@pytest.mark.parametrize("name", TAGGED)
def test_tags_that_do_not_fit_create_nothing(built_account: Account, name):
    before = built_account.state()
    with pytest.raises(InvalidInputException, match="given twice"):
        create(built_account, name, tags=[TAG, TAG])
    many = [{"tagKey": f"key-{n}", "tagValue": ""} for n in range(51)]
    with pytest.raises(TooManyTagsException):
        create(built_account, name, tags=many)
    assert built_account.state() == before


@pytest.mark.parametrize("kind", KINDS)
def test_every_quota_is_kept_on_request(built_account: Account, kind, monkeypatch):
    for word in KINDS:
        row = kinds.KINDS[word]
        monkeypatch.setitem(kinds.KINDS, word, replace(row, quota=row.quota._replace(most=0)))
    before = built_account.state()
    monkeypatch.setenv("PERSONALENS_QUOTAS", "on")
    message = f"More than 0 .*{kind.replace('-', ' ')}|PENDING or IN_PROGRESS status"
    with pytest.raises(LimitExceededException, match=message):
        create(built_account, operation_of(kind))
    assert built_account.state() == before


def test_quotas_are_where_the_model_declares_them():
    for kind in KINDS:
        errors = operations("personalize")[operation_of(kind)].model.error_shapes
        assert "LimitExceededException" in {error.name for error in errors}


def test_an_account_with_everything_is_sound(built_account: Account):
    assert [str(found) for found in examine_home(built_account.home) if not found.is_ok] == []
