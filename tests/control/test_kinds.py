"""Describe, List and Delete of every kind: what lists show, what narrows them, what goes with what.

The members of a list's summaries and the parents that narrow it are read from botocore's model,
not from our table of kinds.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from personalens.aws.service_models import operations
from personalens.control.operations.kinds import KINDS
from personalens.service_errors import ResourceInUseException
from personalens.storage.resource_store import Resource
from tests.contract.account import Account, valid_requests

IN_USE = [  # what cannot be deleted, by what, and the member in which that names it
    ("schema", "dataset", "schemaArn"),
    ("dataset-group", "dataset", "datasetGroupArn"),
    ("dataset-group", "solution", "datasetGroupArn"),
    ("dataset-group", "recommender", "datasetGroupArn"),
    ("dataset-group", "event-tracker", "datasetGroupArn"),
    ("filter", "batch-inference-job", "filterArn"),
    ("filter", "batch-segment-job", "filterArn"),
]
GOES_WITH = [
    ("dataset", "dataset-import-job"),
    ("dataset-group", "filter"),
    ("dataset-group", "metric-attribution"),
    ("solution", "solution-version"),
]


def arn_of(kind: str, name: str) -> str:
    """Return an ARN as the service forms it."""
    path = {"dataset": f"dataset/{name}/ITEMS", "solution-version": f"solution/{name}/0a1b2c3d"}
    return f"arn:aws:personalize:us-east-1:123456789012:{path.get(kind, f'{kind}/{name}')}"


def words(kind: str) -> str:
    return kind.title().replace("-", "")


def ask(account: Account, verb: str, kind: str, **request):
    """Call Describe, List or Delete; what is described or deleted is the account's own."""
    if not request and verb != "list":
        request = valid_requests(account)[f"Describe{words(kind)}"]
    plural = "s" if verb == "list" else ""
    answer = getattr(account.service, f"{verb}_{kind.replace('-', '_')}{plural}")(**request)
    return answer.get(KINDS[kind].members if plural else KINDS[kind].member)


def arns(account: Account, kind: str, **request) -> list[str]:
    return [each[f"{KINDS[kind].member}Arn"] for each in ask(account, "list", kind, **request)]


@pytest.mark.parametrize("kind", KINDS)
def test_a_list_shows_what_the_model_s_summary_has(built_account, kind):
    shape = operations("personalize")[f"List{words(kind)}s"].model.output_shape
    shown = set(shape.members[KINDS[kind].members].member.members)
    described = ask(built_account, "describe", kind)
    summaries = {
        each[f"{KINDS[kind].member}Arn"]: each for each in ask(built_account, "list", kind)
    }
    expected = {member: value for member, value in described.items() if member in shown}
    assert summaries[described[f"{KINDS[kind].member}Arn"]] == expected


@pytest.mark.parametrize("kind", KINDS)
def test_lists_are_in_the_order_of_creation_and_come_in_pages(built_account, kind):
    listed = [each["creationDateTime"] for each in ask(built_account, "list", kind)]
    assert listed == sorted(listed)
    name, token, paged = f"list_{kind.replace('-', '_')}s", {}, []
    while True:
        page = getattr(built_account.service, name)(maxResults=1, **token)
        paged += page[KINDS[kind].members]
        if "nextToken" not in page:
            break
        token = {"nextToken": page["nextToken"]}
    assert paged == ask(built_account, "list", kind)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if KINDS[kind].parent])
def test_a_parent_narrows_its_lists(built_account, kind):
    shape = operations("personalize")[f"List{words(kind)}s"].model.input_shape
    [parent] = [member for member in shape.members if member.endswith("Arn")]
    described = ask(built_account, "describe", kind)
    of_parent = arns(built_account, kind, **{parent: described[parent]})
    assert described[f"{KINDS[kind].member}Arn"] in of_parent
    others = [arn for arn in arns(built_account, parent_kind(parent)) if arn != described[parent]]
    elsewhere = [arn for other in others for arn in arns(built_account, kind, **{parent: other})]
    assert set(of_parent) | set(elsewhere) == set(arns(built_account, kind))
    assert not set(of_parent) & set(elsewhere)


def parent_kind(member: str) -> str:
    return next(word for word, kind in KINDS.items() if f"{kind.member}Arn" == member)


@pytest.mark.parametrize(("kind", "user", "member"), IN_USE)
def test_what_something_uses_cannot_be_deleted(service, kind, user, member):
    """Resources are put into the catalogue as they are, so that nothing else stands in the way."""
    used, other = arn_of(kind, "used"), arn_of(kind, "other")
    user_of = Resource(arn_of(user, "user"), user, "user", status="CREATE PENDING")
    status = None if kind == "schema" else "ACTIVE"
    delete = getattr(service, f"delete_{kind.replace('-', '_')}")
    with service.context.store.transaction() as tx:
        for arn in (used, other):
            tx.insert(Resource(arn, kind, "any", status=status))
        body = {member: used, "performAutoTraining": False}
        tx.insert(replace(user_of, body=body))
    delete(**{f"{KINDS[kind].member}Arn": other})
    with pytest.raises(ResourceInUseException, match=user_of.arn):
        delete(**{f"{KINDS[kind].member}Arn": used})
    with service.context.store.transaction() as tx:
        if kind == "filter":  # jobs keep it while they run
            tx.update(user_of.arn, status="ACTIVE")
        else:
            tx.delete(user_of.arn)
    delete(**{f"{KINDS[kind].member}Arn": used})


@pytest.mark.usefixtures("quick_deletions")
@pytest.mark.parametrize(("kind", "child"), GOES_WITH)
def test_what_belongs_to_it_goes_with_it_and_nothing_else(service, kind, child):
    body = {"performAutoTraining": False, "datasetGroupArn": "any", "schemaArn": "any"}
    with service.context.store.transaction() as tx:
        for name in ("gone", "kept"):
            parent = arn_of(kind, name)
            tx.insert(Resource(parent, kind, name, status="ACTIVE", body=body))
            tx.insert(Resource(arn_of(child, name), child, name, parent, status="ACTIVE"))
    delete = getattr(service, f"delete_{kind.replace('-', '_')}")
    delete(**{f"{KINDS[kind].member}Arn": arn_of(kind, "gone")})
    store = service.context.store
    assert [each.arn for each in store.list(child)] == [arn_of(child, "kept")]
    assert [each.arn for each in store.list(kind)] == [arn_of(kind, "kept")]
