"""CreateDatasetGroup, DescribeDatasetGroup, ListDatasetGroups, DeleteDatasetGroup."""

from __future__ import annotations

import pytest

from personalens.service_errors import (
    InvalidInputException,
    ResourceAlreadyExistsException,
    ResourceInUseException,
    ResourceNotFoundException,
)
from personalens.storage.resource_store import Resource

ARN = "arn:aws:personalize:us-east-1:123456789012:dataset-group/films"
ROLE = "arn:aws:iam::123456789012:role/personalize"
KEY = "arn:aws:kms:us-east-1:123456789012:key/1234"


def test_a_group_is_active_at_the_first_describe(service):
    assert service.create_dataset_group(name="films") == {"datasetGroupArn": ARN}
    group = service.describe_dataset_group(datasetGroupArn=ARN)["datasetGroup"]
    assert group.pop("creationDateTime") == group.pop("lastUpdatedDateTime")
    assert group == {"name": "films", "datasetGroupArn": ARN, "status": "ACTIVE"}


def test_domain_role_and_key_are_shown(service):
    answer = service.create_dataset_group(
        name="films", domain="ECOMMERCE", roleArn=ROLE, kmsKeyArn=KEY
    )
    assert answer == {"datasetGroupArn": ARN, "domain": "ECOMMERCE"}
    group = service.describe_dataset_group(datasetGroupArn=ARN)["datasetGroup"]
    assert (group["domain"], group["roleArn"], group["kmsKeyArn"]) == ("ECOMMERCE", ROLE, KEY)
    (summary,) = service.list_dataset_groups()["datasetGroups"]
    assert summary["domain"] == "ECOMMERCE"
    assert "roleArn" not in summary


@pytest.mark.parametrize("given", [{"roleArn": ROLE}, {"kmsKeyArn": KEY}])
def test_a_role_without_a_key_or_a_key_without_a_role_is_refused(service, given):
    with pytest.raises(InvalidInputException, match="give both, or neither"):
        service.create_dataset_group(name="films", **given)
    assert service.list_dataset_groups() == {"datasetGroups": []}


def test_a_role_arn_must_look_like_one(service):
    with pytest.raises(InvalidInputException, match="roleArn"):
        service.create_dataset_group(name="films", roleArn="me", kmsKeyArn=KEY)


def test_a_name_is_taken_once(service):
    service.create_dataset_group(name="films")
    with pytest.raises(ResourceAlreadyExistsException, match=ARN):
        service.create_dataset_group(name="films")


@pytest.mark.usefixtures("quick_deletions")
def test_a_deleted_group_is_gone_and_its_name_is_free(service):
    service.create_dataset_group(name="films")
    service.delete_dataset_group(datasetGroupArn=ARN)
    with pytest.raises(ResourceNotFoundException, match=ARN):
        service.describe_dataset_group(datasetGroupArn=ARN)
    with pytest.raises(ResourceNotFoundException, match=ARN):
        service.delete_dataset_group(datasetGroupArn=ARN)
    assert service.create_dataset_group(name="films") == {"datasetGroupArn": ARN}


@pytest.mark.usefixtures("quick_deletions")
def test_what_is_left_in_a_group_keeps_it(service, make_dataset):
    dataset = make_dataset()
    with pytest.raises(ResourceInUseException, match=dataset):
        service.delete_dataset_group(datasetGroupArn=ARN)
    service.delete_dataset(datasetArn=dataset)
    service.delete_dataset_group(datasetGroupArn=ARN)
    assert service.list_dataset_groups() == {"datasetGroups": []}


@pytest.mark.parametrize("kind", ["solution", "event-tracker"])
def test_solutions_and_trackers_keep_their_group_too(service, kind):
    service.create_dataset_group(name="films")
    service.create_dataset_group(name="books")
    books = ARN.replace("films", "books")
    left = ARN.replace("dataset-group", kind)
    with service.context.store.transaction() as tx:
        body = {"datasetGroupArn": ARN}
        tx.insert(Resource(left, kind, "films", ARN, "ACTIVE", body=body))
    service.delete_dataset_group(datasetGroupArn=books)
    with pytest.raises(ResourceInUseException, match=left):
        service.delete_dataset_group(datasetGroupArn=ARN)


def test_a_group_in_transition_cannot_be_deleted(service):
    service.create_dataset_group(name="films")
    with service.context.store.transaction() as tx:
        tx.update(ARN, status="DELETE PENDING")
    with pytest.raises(ResourceInUseException, match="DELETE PENDING"):
        service.delete_dataset_group(datasetGroupArn=ARN)
